# A worker that its client plays like a puppet (puppet.c): the worker's own main and libraries, with a few functions
# taken over by the linker. vaultd-worker-puppet has the real walls; in vaultd-worker-unwalled the client chooses which
# are left out. For tests of whole vaults only; never installed.
get_target_property(worker_folder vaultd-worker SOURCE_DIR)
function(vault_puppet name)
  add_executable(${name} ${worker_folder}/main.c ${CMAKE_CURRENT_SOURCE_DIR}/hostile/puppet.c ${ARGN})
  target_include_directories(${name} PRIVATE ${worker_folder} ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE worker_core sandbox)
  target_link_options(${name} PRIVATE
    -Wl,--wrap=stream_open_tls -Wl,--wrap=ask_open -Wl,--wrap=ask_object -Wl,--wrap=ask_buffers)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()

vault_puppet(vaultd-worker-puppet ${CMAKE_CURRENT_SOURCE_DIR}/hostile/walls_real.c)
vault_puppet(vaultd-worker-unwalled ${CMAKE_CURRENT_SOURCE_DIR}/hostile/walls_chosen.c)
target_link_options(vaultd-worker-unwalled PRIVATE
  -Wl,--wrap=sandbox_enter -Wl,--wrap=landlock_enter -Wl,--wrap=filter_enter -Wl,--wrap=memory_limit)
