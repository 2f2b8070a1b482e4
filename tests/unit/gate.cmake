# Programs around one rig: the gate with honest workers, its authorities, with hostile workers, and the worker's stream behind it.
foreach(name gate gate_anchors gate_hostile stream)
  vault_unit_test(${name} gate_core worker_stream sandbox PkgConfig::libssl)
  target_sources(test_${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/gate_rig.c ${CMAKE_CURRENT_LIST_DIR}/gate_pki.c)
  if(NOT VAULT_SANITIZE) # a sanitizer's shadow memory can be neither locked nor sandboxed
    add_dependencies(test_${name} vaultd-gate)
    target_compile_definitions(test_${name} PRIVATE GATE_PROGRAM="$<TARGET_FILE:vaultd-gate>")
  endif()
endforeach()
