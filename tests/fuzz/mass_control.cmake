# Planted faults that the mass executor must notice: tests/behaviour/test_mass.py.
if(NOT VAULT_LIBFUZZER)
  add_executable(mass_control ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/mass_control.c)
  target_link_libraries(mass_control PRIVATE mass_executor)
endif()
