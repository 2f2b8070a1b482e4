# The controls of tests/torture/allocations; not a ctest, since it is to fail.
if(VAULT_TEST_ALLOCATIONS)
  add_executable(test_allocations_control ${CMAKE_CURRENT_SOURCE_DIR}/allocations/control.c)
  target_compile_options(test_allocations_control PRIVATE ${VAULT_REDIRECT_ALLOCATIONS})
  target_link_libraries(test_allocations_control PRIVATE base PkgConfig::cmocka)
  set_target_properties(test_allocations_control PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
