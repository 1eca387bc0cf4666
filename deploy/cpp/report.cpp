#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <numeric>
#include <sstream>

namespace {

std::string quoted(const std::string& text) {
    std::ostringstream out;
    out << '"';
    for (const unsigned char c : text) {
        if (c == '"' || c == '\\') out << '\\' << c;
        else if (c < 0x20) out << "\\u" << std::hex << std::setw(4) << std::setfill('0') << int{c};
        else out << c;
    }
    out << '"';
    return out.str();
}

std::string exact(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.17g", value);
    return text;
}

double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double share(std::size_t part, std::size_t whole) { return static_cast<double>(part) / static_cast<double>(whole); }

void show_layers(std::ostream& out, const Result& result) {
    auto layers = result.layers;
    std::stable_sort(layers.begin(), layers.end(), [](const Layer& a, const Layer& b) { return a.ms > b.ms; });
    double total = 0;
    for (const auto& layer : layers) total += layer.ms;
    out << "\n" << result.model << ": " << total << " ms in " << layers.size() << " layers\n";
    for (std::size_t i = 0; i < std::min<std::size_t>(layers.size(), 20); ++i)
        out << std::setw(9) << layers[i].ms << "  " << std::setw(5) << std::setprecision(1) << 100 * layers[i].ms / total
            << " %  " << std::setprecision(3) << std::left << std::setw(9) << layers[i].precision << std::setw(20) << layers[i].op
            << std::right << layers[i].name << "\n";
}

}  // namespace

double percentile(std::vector<double> values, double percent) {
    std::sort(values.begin(), values.end());
    const double place = percent / 100 * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(std::floor(place));
    const auto above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - std::floor(place)) * (values[above] - values[below]);
}

void show_json(std::ostream& out, const std::vector<Result>& results, const Options& options) {
    out << "{\"results\": [";
    for (std::size_t i = 0; i < results.size(); ++i) {
        const auto& r = results[i];
        out << (i ? ", " : "") << "{\"model\": " << quoted(r.model) << ", \"runtime\": \"openvino\", \"precision\": \"float32\""
            << ", \"threads\": " << options.threads << ", \"batch_size\": " << r.batch_size << ", \"iterations\": " << r.ms.size()
            << ", \"median_ms\": " << exact(percentile(r.ms, 50)) << ", \"p90_ms\": " << exact(percentile(r.ms, 90))
            << ", \"p99_ms\": " << exact(percentile(r.ms, 99)) << ", \"min_ms\": " << exact(*std::min_element(r.ms.begin(), r.ms.end()))
            << ", \"max_ms\": " << exact(*std::max_element(r.ms.begin(), r.ms.end()))
            << ", \"images_per_second\": " << exact(1e3 * static_cast<double>(r.batch_size) / mean(r.ms));
        out << ", \"task\": " << (options.with_accuracy ? "\"classification\"" : "null") << ", \"samples\": " << r.samples;
        out << ", \"metrics\": ";
        if (options.with_accuracy)
            out << "{\"top1\": " << exact(share(r.right, r.samples)) << ", \"top5\": "
                << (r.classes < 5 ? "null" : exact(share(r.among_five, r.samples))) << "}";
        else
            out << "null";
        out << ", \"layers\": " << (options.profile ? "[" : "null");
        for (std::size_t l = 0; l < r.layers.size(); ++l)
            out << (l ? ", " : "") << "{\"name\": " << quoted(r.layers[l].name) << ", \"op\": " << quoted(r.layers[l].op)
                << ", \"precision\": " << quoted(r.layers[l].precision) << ", \"detail\": " << quoted(r.layers[l].detail)
                << ", \"ms\": " << exact(r.layers[l].ms) << "}";
        out << (options.profile ? "]}" : "}");
    }
    out << "], \"notices\": []}\n";
}

void show_tables(std::ostream& out, const std::vector<Result>& results, const Options& options) {
    out << std::fixed << std::setprecision(3) << options.threads << (options.threads == 1 ? " thread, batch " : " threads, batch ") << results[0].batch_size << ", "
        << results[0].ms.size() << " calls each\n"
        << "median ms    90 % ms    99 % ms     min ms   images/s    speed  model\n";
    for (const auto& r : results)
        out << std::setw(9) << percentile(r.ms, 50) << std::setw(11) << percentile(r.ms, 90) << std::setw(11) << percentile(r.ms, 99)
            << std::setw(11) << *std::min_element(r.ms.begin(), r.ms.end()) << std::setw(11) << std::setprecision(1)
            << 1e3 * static_cast<double>(r.batch_size) / mean(r.ms) << std::setw(8) << std::setprecision(2)
            << percentile(results[0].ms, 50) / percentile(r.ms, 50) << "x  " << std::setprecision(3) << r.model << "\n";
    if (options.with_accuracy) {
        out << "\nclassification: " << results[0].samples << " samples\n   top1     top5  model\n" << std::setprecision(2);
        for (const auto& r : results) {
            out << std::setw(6) << 100 * share(r.right, r.samples) << "%  ";
            if (r.classes < 5) out << "      -";
            else out << std::setw(6) << 100 * share(r.among_five, r.samples) << "%";
            out << "  " << r.model << "\n";
        }
        out << std::setprecision(3);
    }
    for (const auto& r : results)
        if (options.profile) show_layers(out, r);
}
