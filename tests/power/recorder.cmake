# The disk below the tests of power cuts (tests/power/): built where libfuse 3 is there.
pkg_check_modules(fuse3 IMPORTED_TARGET fuse3)
if(fuse3_FOUND)
  add_executable(power_recorder ${CMAKE_CURRENT_SOURCE_DIR}/power/recorder.c)
  target_link_libraries(power_recorder PRIVATE PkgConfig::fuse3)
  set_target_properties(power_recorder PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
