# Programs around one rig, which counts what is held and refuses memory.
foreach(name diseases diseases_worlds)
  vault_unit_test(${name} policies)
  target_sources(test_${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/diseases_rig.c)
  target_link_options(test_${name} PRIVATE -Wl,--wrap=calloc,--wrap=free)
endforeach()
