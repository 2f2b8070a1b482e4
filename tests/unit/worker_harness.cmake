add_library(worker_harness STATIC ${CMAKE_CURRENT_SOURCE_DIR}/unit/worker_harness.c)
target_include_directories(worker_harness PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(worker_harness PUBLIC worker_core PkgConfig::cmocka)
