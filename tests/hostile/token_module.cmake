# A PKCS#11 module with a fault of one's choice, for tests of whole vaults only; it is never installed.
add_library(token_module MODULE ${CMAKE_CURRENT_SOURCE_DIR}/hostile/token_module.c)
target_include_directories(token_module PRIVATE ${p11_kit_1_INCLUDE_DIRS})
set_target_properties(token_module PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests PREFIX "")
