# vaultd-without-secret-memory: the real supervisor, and so its children, under a filter that says that the kernel has no
# secret memory (without_secret_memory.c): what is in their memory can then be read, and tests see that it is wiped.
get_target_property(supervisor_folder vaultd SOURCE_DIR)
add_executable(vaultd-without-secret-memory ${supervisor_folder}/main.c
  ${CMAKE_CURRENT_SOURCE_DIR}/hostile/without_secret_memory.c)
target_include_directories(vaultd-without-secret-memory PRIVATE ${supervisor_folder})
target_link_libraries(vaultd-without-secret-memory PRIVATE supervisor_core PkgConfig::libseccomp)
target_compile_definitions(vaultd-without-secret-memory PRIVATE VAULT_VERSION="${PROJECT_VERSION}")
set_target_properties(vaultd-without-secret-memory PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
