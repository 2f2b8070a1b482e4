# The page of an export about records that no vault would write (page.c). For tests; never installed.
add_executable(vaultctl-page ${CMAKE_CURRENT_SOURCE_DIR}/hostile/page.c)
target_include_directories(vaultctl-page PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(vaultctl-page PRIVATE vaultctl_core)
set_target_properties(vaultctl-page PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
