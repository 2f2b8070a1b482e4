# vaultd-unlimited: a supervisor that limits its children in nothing (unlimited.c). For tests; never installed.
get_target_property(supervisor_folder vaultd SOURCE_DIR)
add_executable(vaultd-unlimited ${supervisor_folder}/main.c ${CMAKE_CURRENT_SOURCE_DIR}/hostile/unlimited.c)
target_include_directories(vaultd-unlimited PRIVATE ${supervisor_folder})
target_link_libraries(vaultd-unlimited PRIVATE supervisor_core)
target_compile_definitions(vaultd-unlimited PRIVATE VAULT_VERSION="${PROJECT_VERSION}")
target_link_options(vaultd-unlimited PRIVATE -Wl,--wrap=setrlimit)
set_target_properties(vaultd-unlimited PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
