"""Phrases of the synthetic reviews."""

from __future__ import annotations

import re

__all__ = [
    "ADJECTIVES",
    "AFFIRMATIONS",
    "DEGREES",
    "DENIALS",
    "ELSEWHERE",
    "EXPECTATIONS",
    "FACTS",
    "NEGATIONS",
    "PEOPLE",
    "SUBJECTS",
    "VERBS",
    "words",
]

# Subjects of reviews, and their parts.
SUBJECTS = {
    "film": ("acting", "plot", "music", "ending", "dialogue", "camera work"),
    "book": ("story", "style", "hero", "first chapter", "translation", "cover"),
    "hotel": ("room", "breakfast", "staff", "view", "pool", "bed"),
    "phone": ("screen", "battery", "sound", "keyboard", "software", "design"),
    "restaurant": ("food", "service", "wine list", "dessert", "soup", "waiter"),
    "game": ("story", "control", "music", "first level", "art", "sound"),
    "concert": ("singer", "sound", "choice of songs", "light", "hall", "drummer"),
    "museum": ("collection", "guide", "building", "shop", "garden", "audio guide"),
    "train": ("seat", "timetable", "crew", "dining car", "ticket", "view"),
    "course": ("teacher", "material", "pace", "exam", "first lesson", "homework"),
}

# By polarity, the most frequent first.
ADJECTIVES = {
    1: tuple(
        "good great nice excellent wonderful fine lovely perfect fun brilliant superb fantastic pleasant "  # noqa: SIM905
        "impressive beautiful enjoyable amazing charming clever delightful exciting fresh solid elegant "
        "memorable outstanding stunning touching witty remarkable splendid terrific gripping marvellous "
        "refreshing satisfying thoughtful inspiring flawless magnificent graceful captivating exquisite "
        "heartwarming masterful sublime rewarding admirable dazzling enchanting exemplary phenomenal "
        "riveting spellbinding".split()
    ),
    -1: tuple(
        "bad poor boring terrible awful dull weak disappointing horrible stupid ugly slow annoying cheap "  # noqa: SIM905
        "mediocre tedious clumsy confusing unpleasant lame bland silly dreadful pathetic messy shallow "
        "tiresome forgettable pointless ridiculous careless lifeless painful dismal pretentious sloppy "
        "predictable unbearable frustrating miserable overpriced atrocious appalling insufferable shoddy "
        "uninspired abysmal lacklustre incoherent monotonous deplorable excruciating insipid tasteless "
        "wretched".split()
    ),
}
# Past and base form.
VERBS = {
    1: (
        ("liked", "like"), ("loved", "love"), ("enjoyed", "enjoy"), ("admired", "admire"),
        ("recommended", "recommend"), ("praised", "praise"), ("adored", "adore"), ("treasured", "treasure"),
    ),
    -1: (
        ("hated", "hate"), ("disliked", "dislike"), ("regretted", "regret"), ("criticised", "criticise"),
        ("detested", "detest"), ("loathed", "loathe"), ("despised", "despise"), ("resented", "resent"),
    ),
}  # fmt: skip

DEGREES = ("", "", "", "very", "really", "quite", "truly", "simply", "always", "just", "so", "rather")
NEGATIONS = (
    "not", "not", "not", "never", "hardly", "anything but", "far from", "in no way", "not at all", "by no means",
    "scarcely",
)  # fmt: skip
DENIALS = (
    "it is not true that", "i cannot say that", "nobody could claim that", "i do not think that", "i doubt that",
    "it would be wrong to say that", "i refuse to believe that", "i would be lying if i said that", "it is a lie that",
    "i would never say that",
)  # fmt: skip
# These have words of negation, but negate nothing.
AFFIRMATIONS = (
    "there is no doubt that", "i cannot deny that", "nobody needs to be told that", "no wonder i say that",
    "i do not mind saying that", "in my opinion", "without a doubt", "to be honest",
    "not for the first time i find that", "i must say that",
)  # fmt: skip
PEOPLE = (
    "my brother", "my sister", "a friend of mine", "the critic of our paper", "my neighbour", "her husband",
    "the man beside me", "our guide", "everyone at work", "my mother", "half of the internet", "his boss",
)  # fmt: skip
EXPECTATIONS = (
    "i expected the {subject} to be {word}", "i had feared it would not be {word}", "the advert calls it {word}",
    "they had told me that it was {word}", "people asked me whether the {subject} is {word}",
    "in the reviews it is called {word}", "i wanted something {word}", "some say it is not {word}",
)  # fmt: skip
ELSEWHERE = (
    "the {subject} before that", "the other {subject}", "the {subject} next door", "my last {subject}",
    "the {subject} of my friends",
)  # fmt: skip
FACTS = (
    "i found the {subject} by chance on monday", "it took two hours", "we paid with a card", "it was raining that day",
    "there are three of them in our town", "the {subject} opened last year", "i went there with my family",
    "nothing else was left on that evening", "the {aspect} is new", "they changed the {aspect} in spring",
    "i did not take any pictures", "we never talked about the {aspect}", "this is my second {subject}",
    "it costs as much as the old one", "no one asked for my name", "i am writing this on my way home",
    "the {subject} has a {aspect}", "you can read about the {aspect} elsewhere",
)  # fmt: skip
_CONNECTIVES = ("i", "did", "is", "the", "it", "although", "even", "if")


def words() -> list[str]:
    """All words that a review can have, once, in the order of this file."""
    subjects = [word for subject, parts in SUBJECTS.items() for word in (subject, *parts)]
    sentiments = [word for polarity in (1, -1) for word in ADJECTIVES[polarity]]
    verbs = [form for polarity in (1, -1) for pair in VERBS[polarity] for form in pair]
    said = (*DEGREES, *NEGATIONS, *DENIALS, *AFFIRMATIONS, *PEOPLE, *EXPECTATIONS, *ELSEWHERE, *FACTS)
    text = " ".join((*_CONNECTIVES, *said, *subjects, *sentiments, *verbs))
    return list(dict.fromkeys(re.sub(r"\{\w+\}", "", text).split()))
