#include "vault/values.h"

DEFINE_LAYOUT(meta_value);
DEFINE_LAYOUT(subject_value);
DEFINE_LAYOUT(consent_value);
DEFINE_LAYOUT(service_value);
DEFINE_LAYOUT(san_value);
DEFINE_LAYOUT(project_value);
DEFINE_LAYOUT(ethics_value);
DEFINE_LAYOUT(policy_value);
DEFINE_LAYOUT(file_value);
DEFINE_LAYOUT(file_name_value);
DEFINE_LAYOUT(mark_value);
DEFINE_LAYOUT(blob_value);
DEFINE_LAYOUT(page_value);
DEFINE_LAYOUT(object_value);
DEFINE_LAYOUT(upload_value);
DEFINE_LAYOUT(grant_value);
DEFINE_LAYOUT(request_value);
DEFINE_LAYOUT(job_value);
DEFINE_LAYOUT(retired_value);
DEFINE_LAYOUT(backup_value);
DEFINE_LAYOUT(shred_value);
DEFINE_LAYOUT(removed_value);
DEFINE_LAYOUT(pending_value);
DEFINE_LAYOUT(scrub_value);
DEFINE_LAYOUT(name_value);
DEFINE_LAYOUT(chain_value);
