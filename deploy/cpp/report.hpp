// What was measured of a model, and how it is shown.
#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include "options.hpp"

struct Layer {
    std::string name, op, precision, detail;
    double ms;
};

struct Result {
    std::string model;
    std::size_t batch_size = 0, samples = 0, right = 0, among_five = 0, classes = 0;
    std::vector<double> ms;  // of the calls with full batches
    std::vector<Layer> layers;
};

void show_json(std::ostream& out, const std::vector<Result>& results, const Options& options);
void show_tables(std::ostream& out, const std::vector<Result>& results, const Options& options);

// Linear between the two nearest, as NumPy's.
double percentile(std::vector<double> values, double percent);
