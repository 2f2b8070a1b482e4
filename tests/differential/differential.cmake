# What the worker makes of bytes, for the comparison with other parsers (tests/behaviour/test_differential.py).
add_executable(http_verdict ${CMAKE_CURRENT_SOURCE_DIR}/differential/verdict.c
  ${CMAKE_CURRENT_SOURCE_DIR}/differential/planted.c)
target_link_libraries(http_verdict PRIVATE worker_core)
target_include_directories(http_verdict PRIVATE ${CMAKE_SOURCE_DIR})
