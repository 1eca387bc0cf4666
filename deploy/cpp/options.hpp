// Options of the tester: those of `tinyint bench` that it has.
#pragma once

#include <string>
#include <vector>

struct Options {
    std::vector<std::string> models;
    std::string data;
    int batch_size = 1, warmup = 10, iterations = 0, threads = 0;
    bool with_accuracy = false, profile = false, json = false;
};

// Throws std::runtime_error for what it does not know.
Options parse(int count, char** words);

extern const char* const kUsage;
