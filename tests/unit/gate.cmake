vault_unit_test(gate gate_core worker_stream sandbox PkgConfig::libssl)
target_sources(test_gate PRIVATE ${CMAKE_CURRENT_LIST_DIR}/gate_rig.c ${CMAKE_CURRENT_LIST_DIR}/gate_pki.c)
if(NOT VAULT_SANITIZE) # a sanitizer's shadow memory can be neither locked nor sandboxed
  add_dependencies(test_gate vaultd-gate)
  target_compile_definitions(test_gate PRIVATE GATE_PROGRAM="$<TARGET_FILE:vaultd-gate>")
endif()

vault_unit_test(gate_hostile gate_core worker_stream sandbox PkgConfig::libssl)
target_sources(test_gate_hostile PRIVATE ${CMAKE_CURRENT_LIST_DIR}/gate_rig.c ${CMAKE_CURRENT_LIST_DIR}/gate_pki.c)
