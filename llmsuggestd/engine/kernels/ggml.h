// The declarations of ggml that a backend needs. llama-cpp-python installs ggml's libraries, but
// not its headers. The layouts are those of backend API version 2 (ggml.h, ggml-backend.h and
// ggml-backend-impl.h of ggml 0.25), and ggml refuses a backend of another version. Facts that ggml
// can tell at run time, such as the numbers of operations, are looked up through `GgmlFunctions`
// and not declared here.
#pragma once

#include <cstddef>
#include <cstdint>

constexpr int GGML_BACKEND_API_VERSION = 2;

enum ggml_type : int {
    GGML_TYPE_F32 = 0,
    GGML_TYPE_F16 = 1,
    GGML_TYPE_Q4_K = 12,
    GGML_TYPE_Q5_K = 13,
    GGML_TYPE_Q6_K = 14
};
enum ggml_status : int { GGML_STATUS_SUCCESS = 0 };
enum ggml_backend_dev_type : int { GGML_BACKEND_DEVICE_TYPE_ACCEL = 3 };

constexpr int32_t GGML_TENSOR_FLAG_COMPUTE = 16;

struct ggml_cgraph;
struct ggml_backend_buffer;
struct ggml_backend_buffer_type;

struct ggml_tensor {
    ggml_type type;
    ggml_backend_buffer *buffer;
    int64_t ne[4];  // elements in each dimension, the contiguous one first
    size_t nb[4];   // bytes from one to the next
    int op;
    int32_t op_params[16];
    int32_t flags;
    ggml_tensor *src[10];
    ggml_tensor *view_src;
    size_t view_offs;
    void *data;
    char name[64];
    void *extra;
    char padding[8];
};

struct ggml_backend;
struct ggml_backend_device;
struct ggml_backend_reg;

using unused = void *;  // a function that a backend need not have

struct ggml_backend_i {
    const char *(*get_name)(ggml_backend *);
    void (*free)(ggml_backend *);
    unused set_tensor_async, get_tensor_async, set_tensor_2d_async, get_tensor_2d_async;
    unused cpy_tensor_async, synchronize;
    unused graph_plan_create, graph_plan_free, graph_plan_update, graph_plan_compute;
    ggml_status (*graph_compute)(ggml_backend *, ggml_cgraph *);
    unused event_record, event_wait, graph_optimize;
};

struct ggml_backend {
    uint8_t (*guid)[16];
    ggml_backend_i iface;
    ggml_backend_device *device;
    void *context;
};

struct ggml_backend_dev_props {
    const char *name, *description;
    size_t memory_free, memory_total;
    ggml_backend_dev_type type;
    const char *device_id;
    struct {
        bool async, host_buffer, buffer_from_host_ptr, events, mmap_support;
    } caps;
};

struct ggml_backend_device_i {
    const char *(*get_name)(ggml_backend_device *);
    const char *(*get_description)(ggml_backend_device *);
    void (*get_memory)(ggml_backend_device *, size_t *free, size_t *total);
    ggml_backend_dev_type (*get_type)(ggml_backend_device *);
    void (*get_props)(ggml_backend_device *, ggml_backend_dev_props *);
    ggml_backend *(*init_backend)(ggml_backend_device *, const char *params);
    ggml_backend_buffer_type *(*get_buffer_type)(ggml_backend_device *);
    unused get_host_buffer_type;
    ggml_backend_buffer *(*buffer_from_host_ptr)(ggml_backend_device *, void *, size_t size,
                                                 size_t);
    bool (*supports_op)(ggml_backend_device *, const ggml_tensor *);
    bool (*supports_buft)(ggml_backend_device *, ggml_backend_buffer_type *);
    unused offload_op, event_new, event_free, event_synchronize;
};

struct ggml_backend_device {
    ggml_backend_device_i iface;
    ggml_backend_reg *reg;
    void *context;
};

struct ggml_backend_reg_i {
    const char *(*get_name)(ggml_backend_reg *);
    size_t (*get_device_count)(ggml_backend_reg *);
    ggml_backend_device *(*get_device)(ggml_backend_reg *, size_t index);
    void *(*get_proc_address)(ggml_backend_reg *, const char *name);
};

struct ggml_backend_reg {
    int api_version;
    ggml_backend_reg_i iface;
    void *context;
};

// The functions of ggml's CPU backend for one row of a type.
struct ggml_type_traits_cpu {
    void (*from_float)(const float *, void *, int64_t count);
    void (*vec_dot)(int count, float *out, size_t, const void *row, size_t, const void *other,
                    size_t, int rows);
    ggml_type vec_dot_type;  // of the other row
    int64_t nrows;
};

// Functions of ggml's libraries, which llama_cpp has loaded. Python looks up their addresses.
struct GgmlFunctions {
    ggml_backend_buffer_type *(*ggml_backend_cpu_buffer_type)();
    ggml_backend_buffer *(*ggml_backend_cpu_buffer_from_ptr)(void *, size_t);
    bool (*ggml_backend_buft_is_host)(ggml_backend_buffer_type *);
    int (*ggml_graph_n_nodes)(ggml_cgraph *);
    ggml_tensor *(*ggml_graph_node)(ggml_cgraph *, int);
    const char *(*ggml_op_name)(int);
    size_t (*ggml_row_size)(ggml_type, int64_t count);
    const ggml_type_traits_cpu *(*ggml_get_type_traits_cpu)(ggml_type);
};
