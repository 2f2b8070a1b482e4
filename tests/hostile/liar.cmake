# A worker that lies (liar.c): the worker's own main and libraries, with two functions taken over by the linker. Built
# for tests of whole vaults only; it is never installed.
get_target_property(worker_folder vaultd-worker SOURCE_DIR)
add_executable(vaultd-worker-liar ${worker_folder}/main.c ${CMAKE_CURRENT_SOURCE_DIR}/hostile/liar.c)
target_include_directories(vaultd-worker-liar PRIVATE ${worker_folder})
target_link_libraries(vaultd-worker-liar PRIVATE worker_core sandbox)
target_link_options(vaultd-worker-liar PRIVATE -Wl,--wrap=stream_open_tls -Wl,--wrap=gate_tell_message)
set_target_properties(vaultd-worker-liar PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
