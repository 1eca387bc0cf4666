#include "data_file.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>

static_assert(std::endian::native == std::endian::little, "data files are little-endian");

namespace {

constexpr std::size_t kHeader = 256;
constexpr char kMagic[] = "\x89TINY\r\n\x1a";

std::uint32_t crc32(const unsigned char* bytes, std::size_t size) {
    static const auto table = [] {
        std::array<std::uint32_t, 256> made{};
        for (std::uint32_t i = 0; i < 256; ++i) {
            std::uint32_t value = i;
            for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0xEDB88320u : 0u);
            made[i] = value;
        }
        return made;
    }();
    std::uint32_t crc = 0xFFFFFFFFu;
    for (std::size_t i = 0; i < size; ++i) crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xFFu];
    return ~crc;
}

template <typename T>
T at(const std::vector<unsigned char>& bytes, std::size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

[[noreturn]] void altered(const std::string& path, std::uint64_t first, std::uint64_t size, const std::string& what) {
    throw std::runtime_error(path + " was altered between bytes " + std::to_string(first) + " and " +
                             std::to_string(first + size - 1) + ", in " + what + ": copy it again, or make it anew");
}

}  // namespace

DataFile::DataFile(const std::string& path) : path_(path), file_(path, std::ios::binary | std::ios::ate) {
    if (!file_) throw std::runtime_error("cannot read " + path);
    const auto size = static_cast<std::uint64_t>(file_.tellg());
    std::vector<unsigned char> header(kHeader);
    file_.seekg(0).read(reinterpret_cast<char*>(header.data()), kHeader);
    if (size < kHeader || std::memcmp(header.data(), kMagic, 8) != 0)
        throw std::runtime_error(path + " is no data file of `tinyint preprocess`");
    if (at<std::uint32_t>(header, 8) != 1)
        throw std::runtime_error(path + ", byte 8: a data file of version " +
                                 std::to_string(at<std::uint32_t>(header, 8)) + ", expected 1");
    if (crc32(header.data() + 16, kHeader - 16) != at<std::uint32_t>(header, 12)) altered(path, 16, kHeader - 16, "its header");
    if (at<std::uint64_t>(header, 16) != size)
        throw std::runtime_error(path + " is truncated: it ends at byte " + std::to_string(size) + " of " +
                                 std::to_string(at<std::uint64_t>(header, 16)));
    samples = at<std::uint64_t>(header, 24);
    pixels_ = at<std::uint32_t>(header, 32) == 1;
    height_ = at<std::uint32_t>(header, 40);
    width_ = at<std::uint32_t>(header, 44);
    channels_ = at<std::uint32_t>(header, 48);
    channels_last_ = at<std::uint32_t>(header, 52) == 2;
    reversed_ = at<std::uint32_t>(header, 56) == 2;
    record_bytes_ = at<std::uint64_t>(header, 64);
    record_.resize(record_bytes_);
    const auto kind = at<std::uint32_t>(header, 36);
    if (kind > 1) throw std::runtime_error(path + " is labelled with label images or boxes; this tester judges class numbers");
    const auto values = section(0, "values", header), numbers = section(1, "labels", header);
    table_.resize(values.size() / sizeof(float));
    std::memcpy(table_.data(), values.data(), values.size());
    labels.resize(numbers.size() / sizeof(std::int64_t));
    std::memcpy(labels.data(), numbers.data(), numbers.size());
}

std::vector<unsigned char> DataFile::section(int number, const char* name, const std::vector<unsigned char>& header) {
    const std::size_t entry = 72 + 24 * static_cast<std::size_t>(number);
    const auto start = at<std::uint64_t>(header, entry), size = at<std::uint64_t>(header, entry + 8);
    std::vector<unsigned char> content(size);
    file_.seekg(static_cast<std::streamoff>(start)).read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(size));
    if (!file_ || crc32(content.data(), size) != at<std::uint32_t>(header, entry + 16))
        altered(path_, start, size, std::string("its ") + name);
    return content;
}

std::vector<std::size_t> DataFile::shape() const {
    if (channels_last_) return {height_, width_, channels_};
    return {channels_, height_, width_};
}

std::vector<std::size_t> DataFile::pixel_shape() const {
    if (!pixels_) return {};
    return {height_, width_, channels_};
}

// Whether the values that the file was made for are the pixels themselves.
bool DataFile::holds_bytes() const {
    for (std::size_t i = 0; i < table_.size(); ++i)
        if (table_[i] != static_cast<float>(i % 256)) return false;
    return pixels_;
}

void DataFile::load(std::uint64_t sample) {
    const std::uint64_t start = kHeader + sample * record_bytes_;
    file_.seekg(static_cast<std::streamoff>(start)).read(reinterpret_cast<char*>(record_.data()), static_cast<std::streamsize>(record_bytes_));
    if (!file_ || crc32(record_.data(), record_bytes_ - 4) != at<std::uint32_t>(record_, record_bytes_ - 4))
        altered(path_, start, record_bytes_, "sample " + std::to_string(sample));
}

// In the order of a model that the file was made for; a model with folded preprocessing takes RGB.
void DataFile::read(std::uint64_t sample, std::uint8_t* pixels) {
    load(sample);
    const bool reverse = reversed_ && holds_bytes();
    for (std::size_t i = 0; i < std::size_t{height_} * width_; ++i)
        for (std::size_t c = 0; c < channels_; ++c) pixels[i * channels_ + (reverse ? channels_ - 1 - c : c)] = record_[i * channels_ + c];
}

void DataFile::read(std::uint64_t sample, float* values) {
    load(sample);
    const std::size_t area = std::size_t{height_} * width_;
    if (!pixels_) {
        std::memcpy(values, record_.data(), area * channels_ * sizeof(float));
        return;
    }
    for (std::size_t c = 0; c < channels_; ++c) {
        const float* table = table_.data() + 256 * c;
        const unsigned char* pixel = record_.data() + (reversed_ ? channels_ - 1 - c : c);
        float* value = values + (channels_last_ ? c : c * area);
        const std::size_t step = channels_last_ ? channels_ : 1;
        for (std::size_t i = 0; i < area; ++i) value[i * step] = table[pixel[i * channels_]];
    }
}
