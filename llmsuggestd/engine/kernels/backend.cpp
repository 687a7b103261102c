// A ggml backend for products with weights and for attention, beside llama.cpp's CPU backend.
//
// llama.cpp gives this backend the operations that it supports, and the rest to the CPU backend.
// Both use the main memory and the same threads (libgomp keeps one pool), and run one after the
// other. The CPU backend checks between two products whether to abort. See kernels.h for the
// arithmetic, and __init__.py for how the backend is registered. If the compiler cannot compile the
// kernels, or the processor cannot run them, `llmsuggest_instructions` returns an empty name, and
// no other function may be called.

#include "ggml.h"
#include "kernels.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// Raise this with every change of the functions below that Python calls.
constexpr int VERSION = 3;

#ifdef LLMSUGGEST_COMPILES

#include <cpuid.h>

#include <initializer_list>
#include <memory>
#include <utility>

namespace {

using namespace llmsuggest;

GgmlFunctions ggml;
int op_mul_mat = -1, op_flash_attn_ext = -1;
bool is_empty[128];  // operations without computation, such as views

// The rounded activations of some tokens for one product.
struct Scratch {
    std::unique_ptr<Activations[]> activations;
    std::unique_ptr<float[]> scales;
    size_t size = 0;

    void reserve(size_t blocks) {
        if (blocks <= size) return;
        activations.reset(new Activations[blocks]);
        scales.reset(new float[blocks + 7]);  // they are read eight at a time
        size = blocks;
    }
};

const Kernels *kernels = nullptr;  // the kernels in use

// Multiplies GROUP columns at most.
void multiply_group(int type, const Product &p, int threads, Scratch &scratch) {
    scratch.reserve(size_t(p.columns) * p.blocks);
    Activations *y = scratch.activations.get();
    float *scales = scratch.scales.get();
    // for a few tokens, synchronising the threads would cost more than it saves
#pragma omp parallel for num_threads(threads) if (p.columns > FEW)
    for (int c = 0; c < p.columns; c++)
        kernels->quantize(type, (const float *)(p.x + c * p.x_stride), y + c, scales + c, p.columns,
                          p.blocks);
    // Dynamic, so that a thread on a contended core gets less work. Each thread takes few turns,
    // since the data prefetched beyond a turn's end may be another thread's.
    const int turns = 8 * threads, tiles = (p.rows + ROWS - 1) / ROWS;
#pragma omp parallel for num_threads(threads) schedule(dynamic, (tiles + turns - 1) / turns)
    for (int row = 0; row < p.rows; row += ROWS) kernels->multiply(type, p, row, y, scales);
}

// Multiplies one group of columns after the other, so that the rounded activations of a group,
// which each tile of rows reads, stay in the second-level cache. The groups' sizes differ by one at
// most.
void multiply(int type, const Product &all, int threads, Scratch &scratch) {
    const int groups = (all.columns + GROUP - 1) / GROUP;
    for (int g = 0; g < groups; g++) {
        const int first = all.columns * g / groups, end = all.columns * (g + 1) / groups;
        Product part = all;
        part.x += first * all.x_stride;
        part.out += first * all.out_stride;
        part.columns = end - first;
        multiply_group(type, part, threads, scratch);
    }
}

size_t block_bytes(int type) {
    switch (type) {
        case GGML_TYPE_Q4_K: return sizeof(Q4KBlock);
        case GGML_TYPE_Q5_K: return sizeof(Q5KBlock);
        case GGML_TYPE_Q6_K: return sizeof(Q6KBlock);
        default: return 0;
    }
}

// A parameter of the attention (ggml_flash_attn_ext in ggml.c): scale, ALiBi's bias, soft cap.
float parameter(const ggml_tensor *node, int index) {
    float value;
    std::memcpy(&value, &node->op_params[index], sizeof value);
    return value;
}

// Computes attention. The shapes are: q (heads, tokens, dimensions), k and v (heads of the cache,
// cells, dimensions), the result (tokens, heads, dimensions). Several heads of q may share a head
// of the cache. `seen` is scratch space.
void attend_all(const ggml_tensor *node, int threads, std::vector<Seen> &seen) {
    const ggml_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2], *mask = node->src[3];
    const int tokens = int(q->ne[1]), heads = int(q->ne[2]), cells = int(k->ne[1]);
    const int heads_each = heads / int(k->ne[2]);
    const float scale = parameter(node, 0);
    seen.resize(std::max(seen.size(), size_t(tokens)));
    // for a few tokens, synchronising the threads would cost more than it saves
#pragma omp parallel for num_threads(threads) if (tokens > FEW)
    for (int token = 0; token < tokens; token++)
        seen[token].look((const uint16_t *)((const char *)mask->data + token * mask->nb[1]), cells);
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> scores(cells + 16);
        // consecutive tasks are of the same head, whose keys and values are then in the cache
#pragma omp for schedule(dynamic, std::max(1, std::min(tokens, 16)))
        for (int task = 0; task < heads * tokens; task++) {
            const int head = task / tokens, token = task % tokens;
            const Head cache = {(const char *)k->data + head / heads_each * k->nb[2],
                                (const char *)v->data + head / heads_each * v->nb[2], k->nb[1],
                                v->nb[1]};
            kernels->attend(
                int(q->ne[0]), cache, seen[token],
                (const float *)((const char *)q->data + token * q->nb[1] + head * q->nb[2]), scale,
                scores.data(),
                (float *)((char *)node->data + head * node->nb[1] + token * node->nb[2]));
        }
    }
}

int requested_threads = 0;  // 0: llama.cpp's number

struct Context {
    int llama_threads = 1;
    int threads() const { return requested_threads ? requested_threads : llama_threads; }
    Scratch scratch;
    std::vector<Seen> seen;
    std::vector<char> rounded;
};

constexpr const char *NAME = "llmsuggestd";
const char *backend_name(ggml_backend *) { return NAME; }
const char *device_name(ggml_backend_device *) { return NAME; }
const char *registry_name(ggml_backend_reg *) { return NAME; }
const char *description(ggml_backend_device *) { return "llmsuggestd's kernels"; }

void free_backend(ggml_backend *backend) {
    delete (Context *)backend->context;
    delete backend;
}

bool is_matrix(const ggml_tensor *t) { return t->ne[2] == 1 && t->ne[3] == 1; }

// Multiplies weights of another type with llama.cpp's product of two rows. llama.cpp's product for
// several tokens is faster, but rounds differently, so a token's result would depend on the others.
void multiply_row_by_row(const ggml_tensor *node, Context &context) {
    const ggml_tensor *weights = node->src[0], *x = node->src[1];
    const ggml_type_traits_cpu *traits = ggml.ggml_get_type_traits_cpu(weights->type);
    const auto from_float = ggml.ggml_get_type_traits_cpu(traits->vec_dot_type)->from_float;
    const int count = int(x->ne[0]), tokens = int(x->ne[1]), rows = int(weights->ne[1]);
    const size_t size = ggml.ggml_row_size(traits->vec_dot_type, count);
    std::vector<char> &rounded = context.rounded;
    rounded.resize(std::max(rounded.size(), tokens * size));
#pragma omp parallel for num_threads(context.threads()) if (tokens > FEW)
    for (int t = 0; t < tokens; t++)
        from_float((const float *)((const char *)x->data + t * x->nb[1]), &rounded[t * size],
                   count);
#pragma omp parallel for num_threads(context.threads()) schedule(dynamic)
    for (int first = 0; first < rows; first += ROWS)
        for (int t = 0; t < tokens; t++)
            for (int row = first; row < std::min(first + ROWS, rows); row++)
                traits->vec_dot(count, (float *)((char *)node->data + t * node->nb[1]) + row, 0,
                                (const char *)weights->data + row * weights->nb[1], 0,
                                &rounded[t * size], 0, 1);
}

void multiply(const ggml_tensor *node, Context &context) {
    const ggml_tensor *weights = node->src[0], *x = node->src[1];
    if (!block_bytes(weights->type)) return multiply_row_by_row(node, context);
    multiply(weights->type,
             {(const char *)weights->data, weights->nb[1], int(weights->ne[1]),
              int(weights->ne[0] / BLOCK), (const char *)x->data, x->nb[1], int(x->ne[1]),
              (float *)node->data, node->nb[1] / sizeof(float)},
             context.threads(), context.scratch);
}

ggml_status compute(ggml_backend *backend, ggml_cgraph *graph) {
    Context &context = *(Context *)backend->context;
    for (int i = 0, count = ggml.ggml_graph_n_nodes(graph); i < count; i++) {
        const ggml_tensor *node = ggml.ggml_graph_node(graph, i);
        if (is_empty[node->op] || !(node->flags & GGML_TENSOR_FLAG_COMPUTE)) continue;
        if (node->op == op_mul_mat)
            multiply(node, context);
        else
            attend_all(node, context.threads(), context.seen);
    }
    return GGML_STATUS_SUCCESS;
}

bool supports_product(const ggml_tensor *node) {
    const ggml_tensor *weights = node->src[0], *x = node->src[1];
    return is_matrix(weights) && is_matrix(x) && x->type == GGML_TYPE_F32 &&
           x->nb[0] == sizeof(float) && node->type == GGML_TYPE_F32 &&
           node->nb[0] == sizeof(float) &&
           weights->nb[1] == ggml.ggml_row_size(weights->type, weights->ne[0]) &&
           ggml.ggml_get_type_traits_cpu(weights->type)->vec_dot;
}

bool supports_attention(const ggml_tensor *node) {
    const ggml_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2], *mask = node->src[3];
    const auto plain = [](const ggml_tensor *t, ggml_type type, size_t size) {
        return t && t->type == type && t->nb[0] == size && t->ne[3] == 1;
    };
    const int64_t size = q->ne[0];
    return plain(q, GGML_TYPE_F32, 4) && plain(k, GGML_TYPE_F16, 2) && plain(v, GGML_TYPE_F16, 2) &&
           plain(mask, GGML_TYPE_F16, 2) && mask->ne[2] == 1 && mask->ne[0] >= k->ne[1] &&
           !node->src[4] && plain(node, GGML_TYPE_F32, 4) && k->ne[0] == size && v->ne[0] == size &&
           q->ne[2] % k->ne[2] == 0 && k->ne[2] == v->ne[2] && with_sixteens(size, [](auto) {}) &&
           parameter(node, 1) == 0 && parameter(node, 2) == 0;  // neither ALiBi nor a soft cap
}

bool supports(ggml_backend_device *, const ggml_tensor *node) {
    if (node->op < 0 || node->op >= int(sizeof is_empty)) return false;
    return is_empty[node->op] || (node->op == op_mul_mat && supports_product(node)) ||
           (node->op == op_flash_attn_ext && supports_attention(node));
}

void memory(ggml_backend_device *, size_t *free, size_t *total) { *free = *total = 0; }
ggml_backend_dev_type type(ggml_backend_device *) { return GGML_BACKEND_DEVICE_TYPE_ACCEL; }

void properties(ggml_backend_device *device, ggml_backend_dev_props *out) {
    *out = {};
    out->name = device_name(device);
    out->description = description(device);
    out->type = type(device);
    out->caps.buffer_from_host_ptr = out->caps.mmap_support = true;
}

ggml_backend *new_backend(ggml_backend_device *device, const char *) {
    static uint8_t guid[16] = {0x6c, 0x6c, 0x6d, 0x73, 0x75, 0x67, 0x67, 0x65,
                               0x73, 0x74, 0x64, 0,    0,    0,    0,    1};
    ggml_backend_i iface = {};
    iface.get_name = backend_name;
    iface.free = free_backend;
    iface.graph_compute = compute;
    return new ggml_backend{&guid, iface, device, new Context};
}

ggml_backend_buffer_type *buffer_type(ggml_backend_device *) {
    return ggml.ggml_backend_cpu_buffer_type();
}
ggml_backend_buffer *buffer_at(ggml_backend_device *, void *start, size_t size, size_t) {
    return ggml.ggml_backend_cpu_buffer_from_ptr(start, size);
}
bool supports_buffers(ggml_backend_device *, ggml_backend_buffer_type *type) {
    return ggml.ggml_backend_buft_is_host(type);
}

void set_threads(ggml_backend *backend, int threads) {
    ((Context *)backend->context)->llama_threads = threads;
}

size_t device_count(ggml_backend_reg *) { return 1; }

ggml_backend_device *device(ggml_backend_reg *registry, size_t) {
    static ggml_backend_device only = [registry] {
        ggml_backend_device_i iface = {};
        iface.get_name = device_name;
        iface.get_description = description;
        iface.get_memory = memory;
        iface.get_type = type;
        iface.get_props = properties;
        iface.init_backend = new_backend;
        iface.get_buffer_type = buffer_type;
        iface.buffer_from_host_ptr = buffer_at;
        iface.supports_op = supports;
        iface.supports_buft = supports_buffers;
        return ggml_backend_device{iface, registry, nullptr};
    }();
    return &only;
}

void *procedure(ggml_backend_reg *, const char *name) {
    return std::strcmp(name, "ggml_backend_set_n_threads") ? nullptr : (void *)set_threads;
}

// Whether the processor has AVX-VNNI, which not every compiler's `__builtin_cpu_supports` knows.
bool has_avx_vnni() {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

// Whether AMD made the processor, and calls its generation by this number.
bool is_amd_family(unsigned number) {
    unsigned a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx) return false;
    return __get_cpuid(1, &a, &b, &c, &d) && (a >> 8 & 15) + (a >> 20 & 255) == number;
}

bool has_half_floats() {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 29 & 1);
}

// Whether the processor has registers of 512 bits, but multiplies them in two halves. It computes
// more with registers of 256 bits, whose halves need not be added.
bool halves_512_bits() { return is_amd_family(0x19); }  // Zen 4

// The kernels of the best instruction set, up to `most`, that this processor and the operating
// system support; null if there are none. An empty `most` means the fastest.
const Kernels *best(const char *most) {
    __builtin_cpu_init();
    const bool avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_half_floats();
    const bool avx512_vnni =
        avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni");
    const std::pair<const Kernels *, bool> best_first[] = {
        {&AVX512_VNNI, avx512_vnni && (*most || !halves_512_bits())},
        {&AVX_VNNI, avx2 && has_avx_vnni()},
        {&AVX512VL_VNNI, avx512_vnni},
        {&AVX2, avx2}};
    bool allowed = false;
    for (const auto &[set, runs] : best_first) {
        allowed = allowed || !*most || !std::strcmp(set->name, most);
        if (allowed && runs) return set;
    }
    return nullptr;
}

}  // namespace

// Chooses the best instruction set that this processor has, up to `most`, or the fastest if the
// name is empty.
EXPORT void llmsuggest_choose(const char *most) { kernels = best(most); }

// The name of the instruction set in use; empty if the processor can run none of the kernels.
EXPORT const char *llmsuggest_instructions() { return kernels ? kernels->name : ""; }

// ggml calls this before it loads the backend; 0 means that the processor cannot run it.
EXPORT int ggml_backend_score() { return kernels != nullptr; }

EXPORT int llmsuggest_version() { return VERSION; }

// Receives ggml's functions. Python calls it before ggml loads the backend.
EXPORT void llmsuggest_connect(const GgmlFunctions *functions) {
    ggml = *functions;
    // ggml does not tell its number of operations, but it has all of these
    int missing = 7;
    for (int op = 0; missing && op < int(sizeof is_empty); op++) {
        const char *name = ggml.ggml_op_name(op);
        for (const char *view : {"NONE", "RESHAPE", "VIEW", "PERMUTE", "TRANSPOSE"})
            if (!std::strcmp(name, view)) is_empty[op] = true;
        if (!std::strcmp(name, "MUL_MAT")) op_mul_mat = op;
        if (!std::strcmp(name, "FLASH_ATTN_EXT")) op_flash_attn_ext = op;
        missing -= is_empty[op] || op == op_mul_mat || op == op_flash_attn_ext;
    }
}

// Sets the number of threads, in place of llama.cpp's.
EXPORT void llmsuggest_use_threads(int count) { requested_threads = count; }

EXPORT ggml_backend_reg *ggml_backend_init() {
    static ggml_backend_reg registry = {
        GGML_BACKEND_API_VERSION, {registry_name, device_count, device, procedure}, nullptr};
    return &registry;
}

// For tests: multiplies weights of a ggml type, shape (rows, row_weights), by x, shape (tokens,
// row_weights). Returns 0, or -1 for a type that the kernels do not support.
EXPORT int llmsuggest_multiply(int type, const void *weights, int rows, int row_weights,
                               const float *x, int tokens, float *out, int threads) {
    const int blocks = row_weights / BLOCK;
    const size_t bytes = block_bytes(type);
    if (!bytes || row_weights % BLOCK) return -1;
    Scratch scratch;
    multiply(type,
             {(const char *)weights, blocks * bytes, rows, blocks, (const char *)x,
              row_weights * sizeof(float), tokens, out, size_t(rows)},
             threads, scratch);
    return 0;
}

// For tests: computes one token's attention to keys and values of shape (cells, dimensions), which
// are float16, as is `mask`. Returns 0, or -1 for a size of heads that the kernels do not support.
EXPORT int llmsuggest_attend(int dimensions, const void *query, const void *keys,
                             const void *values, int cells, const void *mask, float scale,
                             float *out) {
    const size_t stride = size_t(dimensions) * sizeof(uint16_t);
    const Head head = {(const char *)keys, (const char *)values, stride, stride};
    std::vector<float> scores(cells + 16);
    if (!with_sixteens(dimensions, [](auto) {})) return -1;
    Seen seen;
    seen.look((const uint16_t *)mask, cells);
    kernels->attend(dimensions, head, seen, (const float *)query, scale, scores.data(), out);
    return 0;
}

#else

EXPORT void llmsuggest_choose(const char *) {}
EXPORT const char *llmsuggest_instructions() { return ""; }
EXPORT int llmsuggest_version() { return VERSION; }

#endif
