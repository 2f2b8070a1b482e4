
vault_unit_test(monitor_index monitor_core)
vault_unit_test(index_reseal monitor_core)
# Programs around one rig: a monitor core whose neighbours the test plays.
foreach(name monitor_grants monitor_messages monitor_deposit monitor_life monitor_rotation monitor_jobs monitor_keys monitor_names monitor_audit monitor_faults
        monitor_bounds monitor_space monitor_token monitor_rekey monitor_escrow monitor_failures monitor_age monitor_backup monitor_anchors monitor_standings
        monitor_budgets monitor_witness monitor_archive monitor_records)
  vault_unit_test(${name} monitor_core)
  target_sources(test_${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/monitor_rig.c)
endforeach()
