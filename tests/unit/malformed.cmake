# Very many malformed packets to the handlers of monitor, store and gate; tests/torture/attacks sends a million.
vault_unit_test(monitor_malformed monitor_core)
target_sources(test_monitor_malformed PRIVATE ${CMAKE_CURRENT_LIST_DIR}/monitor_rig.c)
vault_unit_test(store_malformed store_core format PkgConfig::libcrypto)
target_sources(test_store_malformed PRIVATE ${CMAKE_CURRENT_LIST_DIR}/store_fixture.c)
target_link_options(test_store_malformed PRIVATE
  -Wl,--wrap=fsync -Wl,--wrap=linkat -Wl,--wrap=futimens -Wl,--wrap=write)
vault_unit_test(gate_malformed gate_core worker_stream sandbox PkgConfig::libssl)
target_sources(test_gate_malformed PRIVATE ${CMAKE_CURRENT_LIST_DIR}/gate_rig.c ${CMAKE_CURRENT_LIST_DIR}/gate_pki.c)
foreach(process monitor store gate)
  target_sources(test_${process}_malformed PRIVATE ${CMAKE_CURRENT_LIST_DIR}/malformed.c)
endforeach()
