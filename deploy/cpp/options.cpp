#include "options.hpp"

#include <map>
#include <stdexcept>
#include <thread>

const char* const kUsage =
    "tinyint-tester MODEL... --data FILE [--batch-size B] [--warmup N] [--iterations N] [--threads N]\n"
    "               [--with-accuracy] [--profile] [--json]\n\n"
    "Measures models on OpenVINO over a file of `tinyint preprocess`; 0 iterations, the default, are all of it.\n";

namespace {

int number(const std::string& option, const std::string& text, int least) {
    std::size_t end = 0;
    int value = -1;
    try {
        value = std::stoi(text, &end);
    } catch (const std::exception&) {
    }
    if (end != text.size() || value < least)
        throw std::runtime_error(option + " " + text + ": expected a whole number from " + std::to_string(least));
    return value;
}

}  // namespace

Options parse(int count, char** words) {
    Options found;
    const std::map<std::string, std::pair<int*, int>> numbers = {{"--batch-size", {&found.batch_size, 1}},
                                                                 {"--warmup", {&found.warmup, 0}},
                                                                 {"--iterations", {&found.iterations, 0}},
                                                                 {"--threads", {&found.threads, 1}}};
    const std::map<std::string, bool*> flags = {
        {"--with-accuracy", &found.with_accuracy}, {"--profile", &found.profile}, {"--json", &found.json}};
    for (int i = 1; i < count; ++i) {
        const std::string word = words[i];
        const bool takes_value = word == "--data" || numbers.count(word);
        if (takes_value && i + 1 == count) throw std::runtime_error(word + " needs a value");
        if (word == "--data")
            found.data = words[++i];
        else if (numbers.count(word))
            *numbers.at(word).first = number(word, words[++i], numbers.at(word).second);
        else if (flags.count(word))
            *flags.at(word) = true;
        else if (word.rfind("--", 0) == 0)
            throw std::runtime_error("there is no option " + word + "\n" + kUsage);
        else
            found.models.push_back(word);
    }
    if (found.models.empty() || found.data.empty()) throw std::runtime_error(std::string("a model and --data are needed\n") + kUsage);
    if (!found.threads) found.threads = static_cast<int>(std::thread::hardware_concurrency());
    return found;
}
