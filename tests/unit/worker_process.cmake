# A sanitiser makes system calls of its own, which the sandbox would kill.
if(NOT VAULT_SANITIZE)
  vault_unit_test(worker_process worker_harness)
endif()
