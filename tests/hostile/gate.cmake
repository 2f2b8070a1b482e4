# A gate that believes its workers: the attacks of tests/unit/gate_hostile.c must succeed against it, or they prove
# nothing. vaultd-gate-unchecked is the same as a program, for tests with a whole vault; it is never installed.
get_target_property(gate_folder gate_core SOURCE_DIR)
get_target_property(gate_sources gate_core SOURCES)
list(TRANSFORM gate_sources PREPEND ${gate_folder}/)
add_library(gate_core_unchecked STATIC ${gate_sources})
target_compile_definitions(gate_core_unchecked PUBLIC VAULT_TEST_GATE_UNCHECKED)
target_include_directories(gate_core_unchecked PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(gate_core_unchecked PUBLIC ipc base PkgConfig::libcrypto)

add_executable(vaultd-gate-unchecked ${gate_folder}/main.c)
target_link_libraries(vaultd-gate-unchecked PRIVATE gate_core_unchecked sandbox)
set_target_properties(vaultd-gate-unchecked PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

set(unit ${CMAKE_CURRENT_SOURCE_DIR}/unit)
add_executable(test_gate_unchecked ${unit}/gate_hostile.c ${unit}/gate_rig.c ${unit}/gate_pki.c)
target_link_libraries(test_gate_unchecked PRIVATE gate_core_unchecked worker_stream sandbox PkgConfig::libssl
  PkgConfig::cmocka)
add_test(NAME hostile.gate_unchecked COMMAND test_gate_unchecked)
