# The supervisor with stand-ins for its children; tests/behaviour/test_supervisor.py also runs with the real ones.
add_executable(supervisor_double ${CMAKE_CURRENT_SOURCE_DIR}/behaviour/supervisor_double.c)
target_link_libraries(supervisor_double PRIVATE ipc)
add_test(NAME behaviour.supervisor
  COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/behaviour/test_supervisor.py Doubles -v)
set_tests_properties(behaviour.supervisor PROPERTIES ENVIRONMENT VAULT_BIN=${CMAKE_BINARY_DIR}/bin)
