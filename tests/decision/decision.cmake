# Asks the decision function, for the comparison with the oracle (tests/behaviour/test_decision_oracle.py).
add_executable(decision_driver ${CMAKE_CURRENT_SOURCE_DIR}/decision/driver.c)
target_link_libraries(decision_driver PRIVATE policies)
