# Cross compiler for 32-bit RISC-V with picolibc, and the machine of QEMU that runs the example:
#
#     cmake -S . -B build-riscv -DCMAKE_TOOLCHAIN_FILE=toolchains/riscv64-unknown-elf.cmake
#     cmake --build build-riscv && ctest --test-dir build-riscv --output-on-failure
@notice
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR riscv32)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CORE)

set(CORE @riscv_core CACHE STRING "core of the chip: @riscv_cores")
@riscv_table
if(NOT SIMULATED_MACHINE)
  message(FATAL_ERROR "the core '${CORE}' is unknown; expected one of @riscv_cores")
endif()
set(CMAKE_C_FLAGS_INIT "${CORE_FLAGS}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "--oslib=semihost --crt0=hosted ${SIMULATED_MEMORY}")
set(CMAKE_CROSSCOMPILING_EMULATOR
  qemu-system-riscv32 -M ${SIMULATED_MACHINE} -bios none -display none -monitor none -serial none
  -semihosting-config enable=on,target=native -kernel)
