# Cross compiler for ARM Cortex-M, and the machine of QEMU that runs the example:
#
#     cmake -S . -B build-m4 -DCMAKE_TOOLCHAIN_FILE=toolchains/arm-none-eabi.cmake -DCORE=cortex-m4
#     cmake --build build-m4 && ctest --test-dir build-m4 --output-on-failure
@notice
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CORE)

set(CORE cortex-m4 CACHE STRING "core of the chip: @arm_cores")
@arm_table
if(NOT SIMULATED_MACHINE)
  message(FATAL_ERROR "the core '${CORE}' is unknown; expected one of @arm_cores")
endif()
set(CMAKE_C_FLAGS_INIT "${CORE_FLAGS}")
set(SIMULATED_START cortex_m)
set(CMAKE_EXE_LINKER_FLAGS_INIT "--specs=rdimon.specs ${SIMULATED_MEMORY}")
set(CMAKE_CROSSCOMPILING_EMULATOR
  qemu-system-arm -M ${SIMULATED_MACHINE} -display none -monitor none -serial none
  -semihosting-config enable=on,target=native -kernel)
