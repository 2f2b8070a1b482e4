# The stream to the client (stream.h), a library of its own so that its tests need no worker.
add_library(worker_stream STATIC ${CMAKE_CURRENT_LIST_DIR}/stream.c ${CMAKE_CURRENT_LIST_DIR}/wire.c
  ${CMAKE_CURRENT_LIST_DIR}/tls.c ${CMAKE_CURRENT_LIST_DIR}/tls_gate.c ${CMAKE_CURRENT_LIST_DIR}/tls_provider.c)
target_include_directories(worker_stream PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(worker_stream PUBLIC ipc base PRIVATE PkgConfig::libssl PkgConfig::libcrypto)
