"""Statistics of channels, one per file, by their names in files and cache keys."""

from tinyint.quantization.calibration.statistics.channel_extrema import ChannelExtrema
from tinyint.quantization.calibration.statistics.channel_means import ChannelMeans
from tinyint.quantization.calibration.statistics.gram import Gram
from tinyint.quantization.calibration.statistics.statistic import Request, Statistic

__all__ = ["STATISTICS", "ChannelExtrema", "ChannelMeans", "Gram", "Request", "Statistic"]

STATISTICS: dict[str, type[Statistic]] = {kind.name: kind for kind in (ChannelExtrema, ChannelMeans, Gram)}
