"""Statistics of channels, one per file, by their names in files and cache keys."""

from tinyint.calibrate.statistics.channel_extrema import ChannelExtrema
from tinyint.calibrate.statistics.channel_means import ChannelMeans
from tinyint.calibrate.statistics.gram import Gram
from tinyint.calibrate.statistics.statistic import Request, Statistic

__all__ = ["STATISTICS", "ChannelExtrema", "ChannelMeans", "Gram", "Request", "Statistic"]

STATISTICS: dict[str, type[Statistic]] = {kind.name: kind for kind in (ChannelExtrema, ChannelMeans, Gram)}
