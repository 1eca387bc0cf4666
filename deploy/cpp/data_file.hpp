// Data files of `tinyint preprocess`; the format is that of docs/data-file.md.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

class DataFile {
public:
    // Throws std::runtime_error for a file that is damaged, with the offset, or not labelled with class numbers or nothing.
    explicit DataFile(const std::string& path);

    std::uint64_t samples = 0;
    std::vector<std::int64_t> labels;  // empty without labels

    // Axes of a sample, as a model takes it that does not take pixels, uint8.
    std::vector<std::size_t> shape() const;

    // Axes of a sample of pixels; empty where the file holds other values.
    std::vector<std::size_t> pixel_shape() const;

    // Writes a sample's values, or its pixels. Throws std::runtime_error for an altered one.
    void read(std::uint64_t sample, float* values);
    void read(std::uint64_t sample, std::uint8_t* pixels);

private:
    void load(std::uint64_t sample);
    bool holds_bytes() const;
    std::vector<unsigned char> section(int number, const char* name, const std::vector<unsigned char>& header);

    std::string path_;
    std::ifstream file_;
    std::uint32_t height_ = 0, width_ = 0, channels_ = 0;
    std::uint64_t record_bytes_ = 0;
    bool pixels_ = false, channels_last_ = false, reversed_ = false;
    std::vector<float> table_;  // of a pixel's values, by channel
    std::vector<unsigned char> record_;
};
