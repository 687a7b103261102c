# For CMake's variable CMAKE_PROJECT_INCLUDE when llama-cpp-python is built: leaves out what
# llmsuggestd never loads, which is more than half of the compilation. A llama.cpp that does not
# know these options ignores them.

set(LLAVA_BUILD OFF)        # pictures and sound
set(LLAMA_BUILD_COMMON OFF) # what llama.cpp's own programs share
