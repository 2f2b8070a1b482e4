# A monitor and a store with checks that a test switches off while they run (unchecked.h), so
# that an attack is seen to succeed when the one check that stops it is off. Never installed.
function(vault_unchecked name program)
  get_target_property(folder ${program} SOURCE_DIR)
  add_executable(${name} ${folder}/main.c ${CMAKE_CURRENT_SOURCE_DIR}/hostile/unchecked_messages.c)
  target_include_directories(${name} PRIVATE ${folder} ${CMAKE_SOURCE_DIR})
  get_target_property(libraries ${program} LINK_LIBRARIES)
  target_link_libraries(${name} PRIVATE ${libraries})
  foreach(function token_check layout_decode message_fd_limit message_decode ${ARGN})
    target_link_options(${name} PRIVATE -Wl,--wrap=${function})
  endforeach()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()

vault_unchecked(vaultd-monitor-unchecked vaultd-monitor
  grant_find grants_of upload_find object_is_of_another answer_upload_create answer_page_get
  table_dispatch)
target_sources(vaultd-monitor-unchecked PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/hostile/unchecked_monitor.c)
vault_unchecked(vaultd-store-unchecked vaultd-store setsockopt)
target_sources(vaultd-store-unchecked PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/hostile/unchecked_store.c)
