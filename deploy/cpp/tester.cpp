// Speed, accuracy and layers of models on OpenVINO, over a data file: `tinyint bench --data` from C++.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <openvino/openvino.hpp>
#include <stdexcept>

#include "data_file.hpp"
#include "options.hpp"
#include "report.hpp"

namespace {

constexpr int kProfiled = 20;  // calls

struct Model {
    ov::CompiledModel compiled;
    ov::InferRequest request;
};

// Whether a declaration leaves images as large as they are.
bool keeps_size(const std::string& declaration) {
    return declaration.find("resize: null") != std::string::npos && declaration.find("crop: null") != std::string::npos;
}

// A data file holds images that are resized already.
void require_resized(const ov::Model& model, const std::string& path) {
    const std::string left = "tinyint.preprocessing", folded = "tinyint.folded_preprocessing";
    if (!model.has_rt_info("framework", folded) || !model.has_rt_info("framework", left)) return;
    if (keeps_size(model.get_rt_info<std::string>("framework", left)) && !keeps_size(model.get_rt_info<std::string>("framework", folded)))
        throw std::runtime_error(path + " resizes images itself, and a data file holds resized ones: quantize it with --fold-preprocessing");
}

// The options of tinyint's own sessions.
ov::CompiledModel compile(ov::Core& core, const std::string& path, int threads, bool profiled) {
    const auto read = core.read_model(path);
    require_resized(*read, path);
    return core.compile_model(read, "CPU", ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                              ov::hint::inference_precision(ov::element::f32), ov::hint::enable_cpu_pinning(false),
                              ov::inference_num_threads(threads), ov::enable_profiling(profiled));
}

std::string described(const ov::PartialShape& shape) {
    std::ostringstream text;
    text << shape;
    return text.str();
}

// Whether the model takes the file's pixels themselves.
bool takes_pixels(const Model& model, const DataFile& data) {
    return model.compiled.input().get_element_type() == ov::element::u8 && !data.pixel_shape().empty();
}

// Samples in one call: the model's own number, or as many as were asked for where its batch is open.
std::size_t batch_of(const Model& model, const DataFile& data, const Options& options, const std::string& name) {
    if (model.compiled.inputs().size() != 1) throw std::runtime_error(name + " has several inputs; a data file feeds one");
    const auto input = model.compiled.input();
    const auto declared = input.get_partial_shape();
    const bool pixels = takes_pixels(model, data);
    const auto sample = pixels ? data.pixel_shape() : data.shape();
    ov::PartialShape wanted{ov::Dimension::dynamic()};
    for (const auto dim : sample) wanted.push_back(static_cast<ov::Dimension::value_type>(dim));
    if ((input.get_element_type() != ov::element::f32 && !pixels) || !declared.compatible(wanted))
        throw std::runtime_error(options.data + " holds images for " + (pixels ? "uint8 " : "float32 ") + described(wanted) + ", but the input of " + name + " is " +
                                 input.get_element_type().get_type_name() + " " + described(declared) +
                                 ": make a file for this model, with `tinyint preprocess --model MODEL`");
    return declared[0].is_dynamic() ? static_cast<std::size_t>(options.batch_size) : static_cast<std::size_t>(declared[0].get_length());
}

double milliseconds_of(ov::InferRequest& request) {
    const auto start = std::chrono::steady_clock::now();
    request.infer();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// The first output of shape (batch, classes), later axes of length 1 passed over.
ov::Tensor logits_of(Model& model, std::size_t batch, const std::string& name) {
    for (std::size_t i = 0; i < model.compiled.outputs().size(); ++i) {
        const auto tensor = model.request.get_output_tensor(i);
        const auto shape = tensor.get_shape();
        const bool flat = shape.size() >= 2 && ov::shape_size(shape) == shape[0] * shape[1];
        if (flat && shape[0] == batch && shape[1] >= 2 && tensor.get_element_type() == ov::element::f32) return tensor;
    }
    throw std::runtime_error(name + " has no output of shape (batch, classes); it is no classifier");
}

// Of equal logits the lower class comes first; NaN counts as the lowest.
void judge(Result& result, const ov::Tensor& tensor, const std::int64_t* labels) {
    const auto shape = tensor.get_shape();
    result.classes = shape[1];
    for (std::size_t row = 0; row < shape[0]; ++row) {
        const float* logits = tensor.data<const float>() + row * shape[1];
        if (labels[row] < 0 || static_cast<std::size_t>(labels[row]) >= shape[1])
            throw std::runtime_error("a sample has the label " + std::to_string(labels[row]) + ", but the model has the classes 0 to " +
                                     std::to_string(shape[1] - 1));
        const auto label = static_cast<std::size_t>(labels[row]);
        std::size_t rank = 0;
        for (std::size_t c = 0; c < shape[1]; ++c) rank += logits[c] > logits[label] || (c < label && logits[c] == logits[label]);
        result.right += rank < 1;
        result.among_five += rank < 5;
    }
}

std::string precision_of(const std::string& op, const std::string& held, const std::string& kernel) {
    const auto ends = [&](const std::string& tail) {
        return kernel.size() >= tail.size() && kernel.compare(kernel.size() - tail.size(), tail.size(), tail) == 0;
    };
    const bool bytes = held == "i8" || held == "u8";
    const bool reads_floats = op == "FullyConnected" && ends("_f32");
    if ((bytes && !reads_floats) || ends("_I8") || ends("_U8") || ends("_i8") || ends("_u8")) return "int8";
    static const std::map<std::string, std::string> names = {
        {"f32", "float32"}, {"f16", "float16"}, {"bf16", "bfloat16"}, {"i32", "int32"}, {"i64", "int64"}};
    return names.count(held) ? names.at(held) : held;
}

// The first of the model's nodes, without what OpenVINO appends to its name when it splits the node.
std::string source_of(const std::string& names) {
    const auto name = names.substr(0, names.find(','));
    const std::string tail = "/WithoutBiases";
    const bool split = name.size() > tail.size() && name.compare(name.size() - tail.size(), tail.size(), tail) == 0;
    return split ? name.substr(0, name.size() - tail.size()) : name;
}

// Median times over further calls of a session that is made for it.
std::vector<Layer> profiled(ov::Core& core, const std::string& path, const ov::Tensor& input, int threads) {
    auto compiled = compile(core, path, threads, true);
    auto request = compiled.create_infer_request();
    request.set_input_tensor(input);
    request.infer();
    std::map<std::string, std::vector<double>> spent;
    for (int call = 0; call < kProfiled; ++call) {
        request.infer();
        for (const auto& row : request.get_profiling_info())
            if (row.status == ov::ProfilingInfo::Status::EXECUTED)
                spent[row.node_name].push_back(static_cast<double>(row.real_time.count()) / 1e3);
    }
    std::vector<Layer> layers;
    for (const auto& node : compiled.get_runtime_model()->get_ordered_ops()) {
        const auto times = spent.find(node->get_friendly_name());
        if (times == spent.end()) continue;
        const auto& facts = node->get_rt_info();
        const auto fact = [&](const char* key) { return facts.count(key) ? facts.at(key).as<std::string>() : std::string(); };
        const auto op = fact("layerType"), held = fact("runtimePrecision"), kernel = fact("primitiveType");
        const auto source = source_of(fact("originalLayersNames"));
        layers.push_back({source.empty() ? times->first : source, op, precision_of(op, held, kernel), held + " " + kernel,
                          percentile(times->second, 50)});
    }
    return layers;
}

template <typename Value>
void fill(DataFile& data, std::size_t first, ov::Tensor& batch) {
    const std::size_t rows = batch.get_shape()[0], values = batch.get_size() / rows;
    for (std::size_t row = 0; row < rows; ++row) data.read(first + row, batch.data<Value>() + row * values);
}

ov::Tensor batch_for(const Model& model, DataFile& data, std::size_t first, std::size_t rows) {
    const bool pixels = takes_pixels(model, data);
    ov::Shape shape{rows};
    for (const auto dim : pixels ? data.pixel_shape() : data.shape()) shape.push_back(dim);
    ov::Tensor batch(pixels ? ov::element::u8 : ov::element::f32, shape);
    pixels ? fill<std::uint8_t>(data, first, batch) : fill<float>(data, first, batch);
    return batch;
}

std::vector<Result> run(const Options& options) {
    DataFile data(options.data);
    if (options.with_accuracy && data.labels.empty()) throw std::runtime_error(options.data + " has no labels; accuracy needs them");
    ov::Core core;
    std::vector<Model> models;
    std::vector<Result> results;
    for (const auto& path : options.models) {
        Model model{compile(core, path, options.threads, false), {}};
        model.request = model.compiled.create_infer_request();
        Result result{.model = path, .ms = {}, .layers = {}};
        result.batch_size = std::min<std::size_t>(batch_of(model, data, options, path), data.samples);
        if (!results.empty() && result.batch_size != results[0].batch_size)
            throw std::runtime_error(path + " and " + results[0].model + " take batches of unlike sizes");
        models.push_back(std::move(model));
        results.push_back(std::move(result));
    }
    const std::size_t size = results[0].batch_size;
    const bool open = models[0].compiled.input().get_partial_shape()[0].is_dynamic();
    std::size_t end = open ? data.samples : data.samples / size * size;
    if (options.iterations) end = std::min(end, size * static_cast<std::size_t>(options.iterations));
    for (std::size_t first = 0; first < end; first += size) {
        const std::size_t rows = std::min(size, end - first);
        std::vector<ov::Tensor> batches;
        for (const auto& model : models) batches.push_back(batch_for(model, data, first, rows));
        for (std::size_t m = 0; m < models.size(); ++m) {  // in turn, so that a restless machine hits all alike
            models[m].request.set_input_tensor(batches[m]);
            for (int call = 0; first == 0 && call < options.warmup; ++call) models[m].request.infer();
            const double ms = milliseconds_of(models[m].request);
            if (rows == size) results[m].ms.push_back(ms);
            results[m].samples += rows;
            if (options.with_accuracy) judge(results[m], logits_of(models[m], rows, results[m].model), data.labels.data() + first);
            if (first == 0 && options.profile) results[m].layers = profiled(core, options.models[m], batches[m], options.threads);
        }
    }
    return results;
}

}  // namespace

int main(int count, char** words) {
    try {
        const auto options = parse(count, words);
        const auto results = run(options);
        options.json ? show_json(std::cout, results, options) : show_tables(std::cout, results, options);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << "\n";
        return 2;
    }
}
