/* One record as a FHIR R4 AuditEvent. How each member is mapped: docs/format-audit.md. */
#include "fhir.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "vaultctl/names.h"
#include "vaultctl/output.h"
#include "vault/buffer.h"
#include "vault/documents.h"
#include "vault/merkle.h"

#define BALP "https://profiles.ihe.net/ITI/BALP/"
#define TERMS "http://terminology.hl7.org/CodeSystem/"
#define DCM "http://dicom.nema.org/resources/ontology/DCM"

struct code {
    const char *system, *code, *display;
};

static const struct code rest = {TERMS "audit-event-type", "rest", "RESTful Operation"},
                         security_alert = {DCM, "110113", "Security Alert"}, disclosed = {DCM, "110106", "Export"},
                         activity = {DCM, "110100", "Application Activity"},
                         application = {DCM, "110150", "Application"},
                         destination = {DCM, "110152", "Destination Role ID"},
                         source = {DCM, "110153", "Source Role ID"},
                         recipient = {TERMS "v3-ParticipationType", "IRCP", "information recipient"},
                         author = {TERMS "v3-ParticipationType", "AUT", "author (originator)"},
                         provider = {TERMS "v3-RoleClass", "PROV", "healthcare provider"},
                         authorizer = {TERMS "extra-security-role-type", "authserver", "authorization server"},
                         by_consent = {BALP "CodeSystem/AuthZsubType", "AuthZ-Consent",
                                       "Authorization Decision using Roles and Consent"},
                         by_role = {BALP "CodeSystem/AuthZsubType", "AuthZ-Role",
                                    "Authorization Decision using only Roles"},
                         disclose = {TERMS "iso-21089-lifecycle", "disclose", "Disclose Record Lifecycle Event"},
                         server_process = {TERMS "security-source-type", "4", "Application Server"},
                         person = {TERMS "audit-entity-type", "1", "Person"},
                         system_object = {TERMS "audit-entity-type", "2", "System Object"},
                         patient = {TERMS "object-role", "1", "Patient"}, report = {TERMS "object-role", "3", "Report"},
                         domain_resource = {TERMS "object-role", "4", "Domain Resource"},
                         consent = {"http://hl7.org/fhir/resource-types", "Consent", "Consent"},
                         transaction = {BALP "CodeSystem/BasicAuditEntityType", "XrequestId",
                                        "transport specific unique identifier where http X-Request-Id is used"},
                         treatment = {TERMS "v3-ActReason", "TREAT", "treatment"},
                         emergency = {TERMS "v3-ActReason", "ETREAT", "Emergency Treatment"},
                         glass = {TERMS "v3-ActReason", "BTG", "break the glass"},
                         research = {TERMS "v3-ActReason", "HRESCH", "healthcare research"};

/* A request that was served or failed; one that was denied; an export; what the vault did by itself. */
enum pattern { REST, DECISION, DISCLOSURE, OWN };

struct event {
    const struct audit_folder *folder;
    const json_t *record;
    enum pattern pattern;
    const uint8_t *leaf;
};

/* ---- pieces: a NULL is of no memory, and makes NULL of all that it goes into ---- */

static const char *text_of(const struct event *e, const char *path) {
    return audit_text(e->record, path);
}

static bool has(const struct event *e, const char *path) {
    return text_of(e, path)[0] != '\0';
}

static bool is(const struct event *e, const char *path, const char *text) {
    return strcmp(text_of(e, path), text) == 0;
}

static bool add(json_t *array, json_t *value) {
    return json_array_append_new(array, value) == 0;
}

/* FHIR has no empty lists and no empty texts. */
static bool set_list(json_t *object, const char *name, json_t *list, bool complete) {
    if (complete && json_array_size(list) > 0)
        return json_object_set_new(object, name, list) == 0;
    json_decref(list);
    return complete;
}

static bool set_text(json_t *object, const char *name, const char *text) {
    return text[0] == '\0' || json_object_set_new(object, name, json_string(text)) == 0;
}

static json_t *finished(json_t *value, bool complete) {
    if (complete)
        return value;
    json_decref(value);
    return NULL;
}

static json_t *coding(const struct code *c) {
    return json_pack("{s:s, s:s, s:s}", "system", c->system, "code", c->code, "display", c->display);
}

static json_t *concept(const struct code *c) {
    return json_pack("{s:[o]}", "coding", coding(c));
}

/* A resource that is on no server, by its name; without a type or system where they are "". */
static json_t *named(const char *type, const char *system, const char *name) {
    json_t *identifier = json_object(), *what = json_object();
    bool good = set_text(identifier, "system", system) && set_text(identifier, "value", name);
    good = set_text(what, "type", type) && good;
    return finished(what, json_object_set_new(what, "identifier", finished(identifier, good)) == 0);
}

static json_t *vault(const struct event *e) {
    return named("Device", "urn:vault:origin", e->folder->origin);
}

/* ---- agents ---- */

/* One that is not registered has no name; of some that were denied not even that is known. */
static json_t *service(const struct event *e) {
    const char *name = text_of(e, "service.name"), *san = text_of(e, "service.san");
    json_t *who = name[0] != '\0'  ? named("Device", "urn:vault:service", name)
                  : san[0] != '\0' ? named("Device", "urn:ietf:rfc:3986", san)
                                   : json_pack("{s:s}", "type", "Device");
    return finished(who, set_text(who, "display", name[0] == '\0' && san[0] == '\0' ? "unknown" : san));
}

static json_t *agent(const struct code *type, json_t *who, bool is_requestor) {
    return json_pack("{s:o, s:o, s:b}", "type", concept(type), "who", who, "requestor", is_requestor);
}

static bool is_ip(const char *address) {
    struct in6_addr ip;
    return inet_pton(AF_INET, address, &ip) == 1 || inet_pton(AF_INET6, address, &ip) == 1;
}

static json_t *network(const char *address) {
    json_t *made = json_pack("{s:s}", "address", address);
    return finished(made, !is_ip(address) || json_object_set_new(made, "type", json_string("2")) == 0);
}

static json_t *client(const struct event *e, const struct code *type) {
    json_t *a = agent(type, service(e), false);
    bool good = !has(e, "address") || json_object_set_new(a, "network", network(text_of(e, "address"))) == 0;
    return finished(a, good);
}

static json_t *server(const struct event *e, const struct code *type) {
    json_t *a = agent(type, vault(e), false);
    return finished(a, json_object_set_new(a, "network", network(e->folder->origin)) == 0);
}

static bool add_roles(const struct event *e, json_t *roles) {
    json_int_t mask = json_integer_value(member_at(e->record, "asked.roles"));
    bool good = true;
    for (unsigned i = 0; i < ROLE_COUNT && good; i++) {
        const struct code role = {"urn:vault:role", role_name(i), role_name(i)};
        good = (mask >> i & 1) == 0 || add(roles, concept(&role));
    }
    return good;
}

/* Coded as far as there are codes, and as it was said. */
static bool add_purposes(const struct event *e, json_t *purposes) {
    const char *said = text_of(e, "purpose");
    size_t n = strcspn(said, ";");
    bool is_treatment = n == strlen("treatment") && strncmp(said, "treatment", n) == 0,
         is_research = n == strlen("research") && strncmp(said, "research", n) == 0,
         is_emergency = is_treatment && audit_is_emergency(e->record);
    if (n == 0)
        return true;
    const struct code *first = is_emergency ? &emergency : is_treatment ? &treatment : is_research ? &research : NULL;
    json_t *purpose = first != NULL ? concept(first) : json_object();
    return add(purposes, finished(purpose, set_text(purpose, "text", said))) &&
           (!is_emergency || add(purposes, concept(&glass)));
}

static bool add_policy(const struct event *e, json_t *policies) {
    return !has(e, "policy") || add(policies, json_sprintf("urn:vault:policy:%s", text_of(e, "policy")));
}

static json_t *user(const struct event *e, const struct code *type) {
    json_t *a = agent(type, service(e), true), *roles = json_array(), *policies = json_array(),
           *purposes = json_array();
    bool good = set_text(a, "name", text_of(e, "service.name"));
    good = set_list(a, "role", roles, add_roles(e, roles)) && good;
    good = set_list(a, "policy", policies, add_policy(e, policies)) && good;
    good = set_list(a, "purposeOfUse", purposes, add_purposes(e, purposes)) && good;
    return finished(a, good);
}

static json_t *organisation(const struct event *e) {
    return agent(&provider,
                 json_pack("{s:s, s:s}", "type", "Organization", "display", text_of(e, "asked.organisation")), false);
}

static bool add_of_decision(const struct event *e, json_t *agents) {
    return add(agents, client(e, &application)) && add(agents, user(e, &recipient)) &&
           (!has(e, "asked.organisation") || add(agents, organisation(e))) &&
           add(agents, agent(&authorizer, vault(e), false));
}

/* Where what is told goes to. */
static bool goes_out(const struct event *e) {
    return e->pattern == DISCLOSURE || is(e, "action", "R");
}

static bool add_agents(const struct event *e, json_t *agents) {
    bool out = goes_out(e);
    if (e->pattern == OWN)
        return add(agents, agent(&application, vault(e), true));
    if (e->pattern == DECISION)
        return add_of_decision(e, agents);
    return add(agents, client(e, out ? &destination : &source)) &&
           add(agents, server(e, out ? &source : &destination)) && add(agents, user(e, out ? &recipient : &author));
}

/* ---- entities ---- */

static json_t *entity(const struct code *type, const struct code *role, json_t *what) {
    json_t *made = json_pack("{s:o, s:o}", "what", what, "type", coding(type));
    return finished(made, role == NULL || json_object_set_new(made, "role", coding(role)) == 0);
}

/* Which consent decided, or whose consents the request was about. */
static bool add_consent(const struct event *e, json_t *entities) {
    json_int_t version = json_integer_value(json_object_get(e->record, "consent"));
    const char *subject = text_of(e, "subject");
    if (subject[0] == '\0' || (version == 0 && strncmp(text_of(e, "event"), "consent.", strlen("consent.")) != 0))
        return true;
    char *name = version == 0 ? format_text("%s", subject) : format_text("%s/%lld", subject, (long long)version);
    bool good = add(entities, entity(&consent, NULL, named("Consent", "urn:vault:consent", name)));
    free(name);
    return good;
}

static bool add_number(const struct event *e, const char *name, json_t *details) {
    const json_t *number = json_object_get(e->record, name);
    return number == NULL || add(details, json_pack("{s:s, s:o}", "type", name, "valueString",
                                                    json_sprintf("%lld", (long long)json_integer_value(number))));
}

static json_t *data(const struct event *e) {
    json_t *made = entity(&system_object, &domain_resource,
                          named("DocumentReference", "urn:vault:file", text_of(e, "file"))),
           *details = json_array();
    bool good = add_number(e, "bytes", details) && add_number(e, "ranges", details);
    return finished(made, set_list(made, "detail", details, good));
}

/* What was taken out of the log. */
static json_t *taken(const struct event *e) {
    json_t *made = entity(&system_object, &report, named("", "urn:vault:origin", e->folder->origin));
    return finished(made, set_text(made, "description", text_of(e, "detail")));
}

/* A decision has no entities but these two; the rest of it is in the extension. */
static bool add_entities(const struct event *e, json_t *entities) {
    bool good =
        !has(e, "subject") || add(entities, entity(&person, &patient, named("Patient", "", text_of(e, "subject"))));
    good = good && add_consent(e, entities);
    if (!good || e->pattern == DECISION)
        return good;
    return (!has(e, "file") || add(entities, data(e))) && (e->pattern != DISCLOSURE || add(entities, taken(e))) &&
           (!has(e, "request") || add(entities, entity(&transaction, NULL, named("", "", text_of(e, "request")))));
}

/* ---- the event ---- */

static enum pattern pattern_of(const json_t *record) {
    const char *outcome = audit_text(record, "outcome");
    if (strcmp(outcome, "denied") == 0)
        return DECISION;
    if (strcmp(audit_text(record, "event"), "audit.export") == 0 && strcmp(outcome, "done") == 0)
        return DISCLOSURE;
    return audit_text(record, "service.name")[0] == '\0' && audit_text(record, "service.san")[0] == '\0' ? OWN : REST;
}

static const char *outcome_of(const struct event *e) {
    static const char *const outcomes[][2] = {
        {"permitted", "0"}, {"done", "0"}, {"denied", "4"}, {"interrupted", "4"}, {"revoked", "4"}};
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        if (is(e, "outcome", outcomes[i][0]))
            return outcomes[i][1];
    return "8";
}

/* Every reason by its rule and its text, then the detail; what went wrong says at least how. */
static bool set_outcome_text(const struct event *e, json_t *resource) {
    char *text = format_text("%s", "");
    size_t i;
    const json_t *reason;
    json_array_foreach(json_object_get(e->record, "reasons"), i, reason) {
        char *longer =
            format_text("%s%s%s: %s", text, i > 0 ? " " : "", audit_text(reason, "rule"), audit_text(reason, "text"));
        free(text);
        text = longer;
    }
    const char *more = has(e, "detail")                             ? text_of(e, "detail")
                       : text[0] == '\0' && outcome_of(e)[0] != '0' ? text_of(e, "outcome")
                                                                    : "";
    char *all = format_text("%s%s%s", text, text[0] != '\0' && more[0] != '\0' ? " " : "", more);
    bool good = set_text(resource, "outcomeDesc", all);
    free(all);
    free(text);
    return good;
}

static const char *action_of(const struct event *e) {
    return e->pattern == DECISION ? "E" : e->pattern == DISCLOSURE ? "R" : text_of(e, "action");
}

static bool is_list(const struct event *e) {
    const char *event = text_of(e, "event"), *dot = strrchr(event, '.');
    return strcmp(dot == NULL ? event : dot + 1, "list") == 0;
}

static json_t *interaction(const struct event *e) {
    static const char *const names[][2] = {{"C", "create"}, {"R", "read"}, {"U", "update"}, {"D", "delete"}};
    struct code c = {"http://hl7.org/fhir/restful-interaction", "operation", "operation"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is(e, "action", names[i][0]))
            c.code = c.display = names[i][1];
    if (is_list(e))
        c.code = c.display = "search-type";
    return coding(&c);
}

static bool add_subtypes(const struct event *e, json_t *subtypes) {
    const char *event = text_of(e, "event");
    const struct code own = {"urn:vault:event", event, audit_deed(event)};
    if (e->pattern == DECISION) /* its pattern knows no others */
        return add(subtypes, coding(json_object_get(e->record, "consent") != NULL ? &by_consent : &by_role));
    return (e->pattern != REST || add(subtypes, interaction(e))) &&
           (e->pattern != DISCLOSURE || add(subtypes, coding(&disclose))) && add(subtypes, coding(&own));
}

/* The pattern that the event has all of; NULL: of none. */
static const char *profile_of(const struct event *e) {
    if (!has(e, "address") || !has(e, "subject"))
        return NULL;
    if (e->pattern == DISCLOSURE)
        return "PrivacyDisclosure.Source";
    if (e->pattern == DECISION)
        return json_object_get(e->record, "consent") != NULL && has(e, "asked.organisation") ? "AuthZconsent" : NULL;
    return is(e, "action", "R") && !is_list(e) && has(e, "file") && outcome_of(e)[0] == '0' ? "PatientRead" : NULL;
}

static bool set_profile(const struct event *e, json_t *resource) {
    const char *profile = profile_of(e);
    return profile == NULL ||
           json_object_set_new(resource, "meta",
                               json_pack("{s:[o]}", "profile",
                                         json_sprintf(BALP "StructureDefinition/IHE.BasicAudit.%s", profile))) == 0;
}

/* What leads back to the record that proves it. */
static bool set_extension(const struct event *e, json_t *resource) {
    static const char *const members[] = {"event", "outcome", "request", "file"};
    char leaf[2 * MERKLE_HASH + 1];
    hex_encode(leaf, sizeof(leaf), e->leaf, MERKLE_HASH);
    json_t *inner = json_pack("[{s:s, s:s}, {s:s, s:o}, {s:s, s:s}]", "url", "origin", "valueString", e->folder->origin,
                              "url", "seq", "valueString",
                              json_sprintf("%lld", (long long)json_integer_value(json_object_get(e->record, "seq"))),
                              "url", "leaf", "valueString", leaf);
    bool good = inner != NULL;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]) && good; i++)
        good = !has(e, members[i]) ||
               add(inner, json_pack("{s:s, s:s}", "url", members[i], "valueString", text_of(e, members[i])));
    return json_object_set_new(
               resource, "extension",
               json_pack("[{s:s, s:o}]", "url", "urn:vault:audit-record", "extension", finished(inner, good))) == 0;
}

static bool set_type(const struct event *e, json_t *resource) {
    static const struct code *const types[] = {
        [REST] = &rest, [DECISION] = &security_alert, [DISCLOSURE] = &disclosed, [OWN] = &activity};
    json_t *subtypes = json_array();
    bool good = set_list(resource, "subtype", subtypes, add_subtypes(e, subtypes));
    return json_object_set_new(resource, "type", coding(types[e->pattern])) == 0 && good;
}

static bool set_what_happened(const struct event *e, json_t *resource) {
    return set_profile(e, resource) && set_extension(e, resource) && set_type(e, resource) &&
           set_text(resource, "action", action_of(e)) && set_text(resource, "recorded", text_of(e, "time")) &&
           set_text(resource, "outcome", outcome_of(e)) && set_outcome_text(e, resource);
}

static bool set_who_and_what(const struct event *e, json_t *resource) {
    json_t *agents = json_array(), *entities = json_array();
    bool good = set_list(resource, "agent", agents, add_agents(e, agents));
    good = good &&
           json_object_set_new(resource, "source",
                               json_pack("{s:o, s:[o]}", "observer", vault(e), "type", coding(&server_process))) == 0;
    return set_list(resource, "entity", entities, add_entities(e, entities)) && good;
}

json_t *fhir_event_of(const struct audit_folder *f, const json_t *record, const uint8_t leaf[MERKLE_HASH]) {
    const struct event e = {.folder = f, .record = record, .pattern = pattern_of(record), .leaf = leaf};
    json_t *resource =
        json_pack("{s:s, s:o}", "resourceType", "AuditEvent", "id",
                  json_sprintf("seq-%lld", (long long)json_integer_value(json_object_get(record, "seq"))));
    return finished(resource, set_what_happened(&e, resource) && set_who_and_what(&e, resource));
}
