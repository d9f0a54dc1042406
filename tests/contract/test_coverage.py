"""The table of docs/contract.md: a row for each of its sentences, with the tests that show it to hold."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CONTRACT = TESTS.parent / "docs" / "contract.md"

BULK = "contract/test_bulk.py::"
AT_ONCE = "contract/test_at_once.py::"
JOBS = "contract/test_jobs.py::"
CONTACTS = "contract/test_contacts.py::"
REQUESTS = "contract/test_requests.py::"
BOUNDS = "contract/test_bounds.py::"
LISTS = "contract/test_lists.py::"
PARAMETERS = "contract/test_parameters.py::"
RETRY = "bulk/test_retry.py::"
PAYLOAD = "contacts/test_payload.py::"
PROCESS = "bulk/test_process.py::"
BACKLOG = "bulk/test_backlog.py::"
MEANWHILE = "bulk/test_meanwhile.py::"
FAILURES = "api/test_failures.py::"
SANDBOX = PROCESS + "test_the_sandboxs_numbers_behave_as_its_table_says"
SEEDS = BULK + "test_the_seeds_batch_is_answered_as_documented"
EVERY_CODE = BULK + "test_every_code_in_one_batch_and_each_bad_contact_alone"
BROKEN_RULE = PAYLOAD + "test_the_first_broken_rule_counts"
WRONG_FIELD = PAYLOAD + "test_a_field_of_the_wrong_type_or_value_is_named"
NO_BATCH = BULK + "test_what_is_no_batch_is_refused_at_once"
EXISTING = BULK + "test_an_existing_membership_keeps_its_data_and_is_filled_where_empty"
TWICE = BULK + "test_the_same_number_twice_is_applied_in_order_and_created_once"
NO_REPEAT = PROCESS + "test_a_slice_that_runs_again_does_nothing_again"
UP = "embedded/test_up.py::test_up_shows_the_way_in_survives_being_killed_and_ends_all_that_it_started"

LATER = "later: "
"""In a test's place: what the sentence waits for, in words."""

# A sentence is found by how it begins. Where that would be ambiguous, by more of it.
TABLE: list[tuple[str, ...]] = [
    # Every request
    (
        "`X-Api-Key: trk_`",
        BULK + "test_who_has_no_key_is_unauthorized",
        CONTACTS + "test_every_endpoint_wants_a_key",
    ),
    ("the key's account is suspended", BULK + "test_the_order_of_checks"),
    (
        "body over 5 MB",
        REQUESTS + "test_a_body_that_is_too_large",
        REQUESTS + "test_a_body_of_unknown_length",
    ),
    ("body is not JSON", NO_BATCH),
    ("`Content-Type` is not JSON", BULK + "test_the_order_of_checks", REQUESTS + "test_a_compressed_body"),
    (
        "unknown path / method",
        BULK + "test_what_is_not_there",
        JOBS + "test_another_accounts_job_is_not_there",
    ),
    ("too many requests", REQUESTS + "test_an_accounts_rate_is_limited_if_it_is_set"),
    (
        "the service can't take work safely",
        FAILURES + "test_without_a_database",
        BACKLOG + "test_beyond_the_limit",
    ),
    ("anything unforeseen", FAILURES + "test_what_nobody_foresaw"),
    ("Every error body is", NO_BATCH, FAILURES + "test_what_nobody_foresaw"),
    (
        "Checks run in this order",
        BULK + "test_the_order_of_checks",
        REQUESTS + "test_an_accounts_rate_is_limited",
    ),
    # POST /contacts/bulk
    ("Body `{", SEEDS),
    ("Missing, null, not an array, or empty", NO_BATCH),
    ("Over 1,000", NO_BATCH),
    (
        "If any contact has `use_validation: true`",
        BULK + "test_who_may_not_be_billed",
        "billing/test_gate.py::test_the_first",
    ),
    ("The same is asked again right before a number", MEANWHILE + "test_a_change_between_two_slices"),
    (
        "If nothing may be charged to the account any more",
        MEANWHILE + "test_what_may_not_be_charged_any_more_fails_and_a_retry_runs_it_again",
        MEANWHILE + "test_a_retry_is_refused_as_long_as",
        MEANWHILE + "test_a_single_contact_is_answered_as_the_gate_would",
    ),
    (
        "Everything else that was accepted takes effect",
        MEANWHILE + "test_what_may_not_be_charged_any_more_fails",
        MEANWHILE + "test_what_was_accepted_before_the_account_was_suspended",
        MEANWHILE + "test_what_was_accepted_with_a_key",
    ),
    (
        "Lists are looked for when a contact is processed",
        MEANWHILE + "test_a_list_that_was_deleted_meanwhile",
        MEANWHILE + "test_a_list_that_was_deleted_while_the_look_up_waited",
    ),
    ("`phone_number` | string, required", BROKEN_RULE),
    ("`list_number` | string, required", BROKEN_RULE),
    ("`use_journeys` | bool", PAYLOAD + "test_what_is_not_given_has_the_contracts_defaults", SEEDS),
    ("`skip_journey_if_exists`", BULK + "test_who_was_on_the_list_is_enrolled_only_if_told_to_and_only_once"),
    ("`use_validation` | bool", EVERY_CODE),
    ("`signup_date` | ISO", PAYLOAD + "test_moments_without_an_offset_are_utc", EXISTING),
    ("`ip_address`, `url` |", WRONG_FIELD, PAYLOAD + "test_values_of_every_allowed_kind_are_taken"),
    ("`custom_fields` | object", EXISTING, WRONG_FIELD),
    ("`replace_custom_fields` |", TWICE, PROCESS + "test_what_became_of_each_contact"),
    ("Unknown fields are ignored", PAYLOAD + "test_unknown_fields_are_ignored_whatever_they_hold"),
    ("Booleans are strict", WRONG_FIELD),
    (
        "`invalid_contact` (not an object)",
        BROKEN_RULE,
        EVERY_CODE,
        "contract/test_any_contact.py::test_any_value_in_any",
    ),
    (
        "An entry of `errors`",
        EVERY_CODE,
        PROCESS + "test_text_that_no_column_holds_is_said_back_as_it_was_sent",
    ),
    ("Sorted by `index`", EVERY_CODE),
    (
        "One bad contact never changes",
        EVERY_CODE,
        "contract/test_any_contact.py::test_any_value_in_any_field",
    ),
    # Carrier validation
    ("Fills carrier, line type", BULK + "test_a_look_up_that_fails_once_is_tried_again"),
    (
        "The number is `not_sendable` when",
        EVERY_CODE,
        PROCESS + "test_voip_is_accepted_by_an_account_that_takes_it",
    ),
    (
        "A carrier service that can't be reached",
        BULK + "test_a_carrier_that_never_answers_rejects_nobody",
        PROCESS + "test_an_unverified_number_that_is_due_is_verified_with_the_next_batch",
    ),
    (
        "Numbers already verified",
        PROCESS + "test_voip_is_accepted_by_an_account_that_takes_it_and_known_to_the_next",
    ),
    # Paid validation
    ("Runs after the free checks pass", PROCESS + "test_nobody_pays_for_a_number_that_is_rejected_anyway"),
    ("Result, as `validation` in", EVERY_CODE),
    ("Dispositions:", "billing/test_gate.py::test_the_disposition_follows_from_the_facts_the_worst_first"),
    ("`invalid` and `unreachable` fail", SANDBOX),
    ("No answer from the provider", SANDBOX),
    (
        "A number costs $0.003",
        BULK + "test_paid_validation_is_charged_once_and_remembered",
        AT_ONCE + "test_a_number_validated_by_many_batches_at_once_is_charged_once",
        PROCESS + "test_somebody_elses_result_that_was_stored_meanwhile_counts_and_is_not_charged",
        PROCESS + "test_what_breaks_at_the_end_leaves_nothing_behind",
    ),
    # What happens to an accepted contact
    ("Contact: one row per phone number", AT_ONCE + "test_two_jobs_with_the_same_contacts"),
    (
        "ListContact: one row per contact",
        AT_ONCE + "test_many_batches_of_one_account_create_each_contact_once",
    ),
    ("Both are created once whatever", AT_ONCE + "test_many_batches_of_one_account", NO_REPEAT),
    ("An existing membership keeps its data", EXISTING),
    (
        "A membership that was unsubscribed",
        BULK + "test_opt_outs_stay",
        CONTACTS + "test_unsubscribing_works_once_and_holds",
    ),
    ("The same phone and list twice", TWICE, PROCESS + "test_contacts_of_one_number_are_put_off_together"),
    (
        "Journeys: one enrollment",
        BULK + "test_who_was_on_the_list",
        AT_ONCE + "test_many_batches_of_one_account",
    ),
    ("`journeys_enrolled` counts", SEEDS, BULK + "test_a_large_batch_is_counted_right"),
    ("`warnings` appears only", SEEDS, BULK + "test_a_journey_nobody_asked_for_is_warned_of_by_name"),
    ("For each list that an active", BULK + "test_a_journey_nobody_asked_for_is_warned_of_by_name"),
    # The answer
    (
        "The request is accepted once it is durable",
        NO_REPEAT,
        PROCESS + "test_a_run_that_comes_second_at_the_commit_does_nothing",
        PROCESS + "test_what_breaks_at_the_end_leaves_nothing_behind",
        "bulk/test_recover.py::test_without_a_broker_acceptance_goes_on",
    ),
    ("By default the answer waits", SEEDS),
    (
        "RFC 7240 governs the wait",
        "api/test_prefer.py::test_what_is_preferred",
        REQUESTS + "test_a_wait_runs_out",
    ),
    (
        "If the wait runs out",
        REQUESTS + "test_a_wait_runs_out_and_the_job_goes_on",
        REQUESTS + "test_more_waiters_than_allowed_block_nobody",
    ),
    ("Both answers bear `Location", REQUESTS + "test_a_wait_runs_out_and_the_job_goes_on"),
    ("`?dry_run=true` runs", REQUESTS + "test_a_dry_run_says_what_would_happen_and_nothing_happens"),
    ("Live and paid look-ups are not made", REQUESTS + "test_a_dry_run_asks_nobody_and_refuses"),
    (
        "`Idempotency-Key` (1 to 255",
        REQUESTS + "test_twenty_requests_with_one_key_at_once_make_one_job",
        REQUESTS + "test_a_key_is_its_accounts_and_stands_for_one_request",
        REQUESTS + "test_a_key_that_is_none_is_refused",
    ),
    # Jobs
    ('`{"job_id", "kind"', JOBS + "test_a_job_says_all_that_the_contract_names"),
    (
        "`status`: `queued`",
        JOBS + "test_progress_never_falls",
        JOBS + "test_a_cancelled_job_keeps_what_was_processed",
    ),
    ("`progress` runs from 0", JOBS + "test_progress_never_falls_and_the_summary_comes_at_the_end"),
    ("While it runs, `summary` is null", JOBS + "test_progress_never_falls_and_the_summary_comes_at_the_end"),
    (
        "`failed` means that some",
        JOBS + "test_a_failed_job_is_retried",
        PROCESS + "test_a_slice_that_always_breaks",
    ),
    ("`GET /jobs` lists", JOBS + "test_jobs_are_listed_newest_first_page_by_page"),
    ("`POST /jobs/<id>/retry`", JOBS + "test_a_failed_job_is_retried_and_only_what_failed_runs_again"),
    ("`GET /jobs/<id>/results", JOBS + "test_results_say_of_every_contact_what_became_of_it"),
    (
        "Counts reconcile",
        JOBS + "test_results_say_of_every_contact",
        BULK + "test_a_large_batch_is_counted_right",
    ),
    ("`POST /jobs/<id>/cancel`", JOBS + "test_a_cancelled_job_keeps_what_was_processed_and_says_how_much"),
    ("`GET /jobs/<id>/errors.csv`", JOBS + "test_the_failed_rows_come_as_csv"),
    # The rest
    ("`POST /contacts`: the single", CONTACTS + "test_a_single_contact_is_created_then_known"),
    (
        "201 (200 where nothing",
        CONTACTS + "test_a_single_contact_is_created",
        CONTACTS + "test_a_single_validated_contact",
    ),
    (
        "Errors as HTTP",
        CONTACTS + "test_a_single_contact_that_fails_is_an_http_error",
        CONTACTS + "test_a_single_contact_that_paid_validation_stops",
    ),
    (
        "`GET /contacts?list_number",
        CONTACTS + "test_contacts_are_listed",
        CONTACTS + "test_contacts_are_filtered_and_paged",
    ),
    ("An entry: `phone_number`", CONTACTS + "test_contacts_are_listed_newest_signup_first"),
    (
        "`GET /contacts/<phone_number>`",
        CONTACTS + "test_a_contact_shows_its_memberships_of_this_accounts_lists",
    ),
    (
        "No account ever sees",
        CONTACTS + "test_a_contact_shows_its_memberships",
        JOBS + "test_another_accounts_job",
    ),
    (
        "`DELETE /contacts` with",
        CONTACTS + "test_unsubscribing_works",
        CONTACTS + "test_unsubscribing_nobody_is_an_error",
    ),
    (
        "`GET /lists?status=`",
        CONTACTS + "test_lists_are_shown",
        CONTACTS + "test_a_deleted_list_is_gone_everywhere",
    ),
    (
        "`GET /usage",
        "contract/test_billing.py::test_the_months_usage_adds_up",
        "billing/test_ledger.py::test_the_months_usage",
    ),
    (
        "`GET /openapi.json`",
        "contract/test_description.py::test_every_answer_is_described",
        "contract/test_errors.py::test_what_is_refused_is_refused_as_described",
        "contract/test_client.py::test_the_generated_client_works",
    ),
    ("`GET /healthz`", BULK + "test_health_needs_no_key"),
    # Sandbox
    (
        "`TRACKLY_SANDBOX=1` (what",
        SANDBOX,
        "providers/test_settings.py::test_settings_that_can_not_work_are_refused",
    ),
    ("Every other number gets", SANDBOX, PROCESS + "test_nobody_pays_for_a_number_that_is_rejected_anyway"),
    *(
        (f"`{number}` |", SANDBOX)
        for number in ("+13105558888", *(f"+120255501{n:02}" for n in (1, 2, 3, 4)))
    ),
    *((f"`+120255501{n}` |", SANDBOX) for n in (12, 13, 14, 15, 16)),
    ("`+12025550117` |", PROCESS + "test_a_ported_number_is_answered_after_two_seconds_and_says_so"),
    # Commands
    ("`make demo` |", LATER + "shown by .ci/run, which runs it"),
    ("`make up` |", UP),
    ("`make test` |", LATER + "this"),
    (
        "`manage.py create_account",
        "accounts/test_keys.py::test_create_account_prints",
        "accounts/test_keys.py::test_create",
    ),
    ("`manage.py import_contacts", LATER + "files"),
    # --- Part two
    # Part two
    ("Still to be built, and answered 404", LATER + "goes once all of it is"),
    ("Everything above stays as it is; this pa", LATER + "part two"),
    ("Error bodies, authentication, `X-Request", LATER + "part two"),
    (
        "A query parameter or option that is not",
        PARAMETERS + "test_a_parameter_that_an_operation_does_not_name",
        PARAMETERS + "test_what_is_described_is_what_is_taken",
        PARAMETERS + "test_the_checks_before_it_come_first",
        PARAMETERS + "test_a_dry_run_that_there_is_not_runs_nothing",
    ),
    # Made precise
    (
        "The merged `custom_fields` of a membersh",
        BOUNDS + "test_merged_fields_have_a_bound",
        BOUNDS + "test_names_have_a_bound",
        BOUNDS + "test_a_long_number_is_refused",
    ),
    ("What would exceed it: `invalid_field`, a", BOUNDS + "test_merged_fields_have_a_bound"),
    ("An opt-out belongs to the person and the", BOUNDS + "test_an_opt_out_holds_when"),
    (
        "In a dry run `contacts_created` counts n",
        BOUNDS + "test_a_dry_run_does_not_tell",
        "bulk/test_dry_run.py::test_an_answer_takes_whole_steps",
    ),
    ("The same `Idempotency-Key` with the same", BOUNDS + "test_a_key_gives_the_first_outcome"),
    (
        "Answers under `/api/v2` bear `Cache-Cont",
        REQUESTS + "test_no_cache_keeps_an_answer",
        REQUESTS + "test_the_description_may_be_cached",
    ),
    (
        "A provider's answer that it doesn't docu",
        "providers/test_live.py::test_what_a_provider_does_not_document_is_never_charged_and_never_verified",
        "lookups/test_sources.py::test_nonsense_and_bare_statuses",
    ),
    # Imports: a file in
    ("`POST /api/v2/imports`, `multipart/form-", LATER + "imports"),
    ("CSV (comma, semicolon, tab or pipe; quot", LATER + "imports"),
    ("At most 1 GB as sent and 5,000,000 rows", LATER + "imports"),
    ("The file is streamed; no process holds i", LATER + "imports"),
    ("`Idempotency-Key` as for a batch. 201 wi", LATER + "imports"),
    ("`list_number` | none | the list of rows", LATER + "imports"),
    ("`columns` | matched by name | object: he", LATER + "imports"),
    ("`default_region` | the list number's reg", LATER + "imports"),
    ("`date_order` | `auto` | `iso`, `mdy`, `d", LATER + "imports"),
    ("`on_existing` | `update` | `update`, `sk", LATER + "imports"),
    ("`use_journeys`, `skip_journey_if_exists`", LATER + "imports"),
    ("`start` | true | false: stop at `ready`", LATER + "imports"),
    ("`dry_run` | false | run every free check", LATER + "imports"),
    ('`GET /api/v2/imports/<import_id>`: `{"im', LATER + "imports"),
    ("`options` are the resolved ones, with th", LATER + "imports"),
    ("`status`: `analyzing` → `ready` → `runni", LATER + "imports"),
    ("`progress` never falls.", LATER + "imports"),
    ("`POST …/start` (from `ready`, with chang", LATER + "imports"),
    ("`GET /imports?status=`: newest first.", LATER + "imports"),
    ("`GET …/failed.csv`: the failed rows with", LATER + "imports"),
    ("It can be mended and sent again as it is", LATER + "imports"),
    ("A file that can't be imported at all end", LATER + "imports"),
    ("A malformed row fails alone (`malformed_", LATER + "imports"),
    ("Rows of one phone number take effect in", LATER + "imports"),
    ("Each row takes effect once, whatever die", LATER + "imports"),
    ("`signup_method` is `csv`.", LATER + "imports"),
    ("The same bytes imported before by this a", LATER + "imports"),
    ("`Content-Encoding: gzip` is accepted by", LATER + "imports"),
    # Undo
    ("`POST /api/v2/imports/<id>/undo` and `PO", LATER + "imports"),
    ("Gone is what this work alone created: me", LATER + "imports"),
    ("Kept, with the reason: `existed_before`,", LATER + "imports"),
    ("Nobody is subscribed by an undo, charges", LATER + "imports"),
    ("A second undo, or one too late: 409 `not", LATER + "imports"),
    # Consent, opt-outs, suppression
    ("Three fields more in a contact object:", LATER + "consent"),
    ("`consent` | object: `method` (`web_form`", LATER + "consent"),
    ("`unsubscribed_at` | ISO 8601 string, not", LATER + "consent"),
    ("`resubscribe` | bool, default false | an", LATER + "consent"),
    ("Every opt-in, opt-out and renewed opt-in", LATER + "consent"),
    ("`GET /contacts/<phone_number>/consents`", LATER + "consent"),
    ('`POST /api/v2/suppressions` `{"phone_num', LATER + "consent"),
    ("They are unsubscribed from all its lists", LATER + "consent"),
    ("A suppression outlives retention and era", LATER + "consent"),
    ("`POST /webhooks/twilio/messages`: inboun", LATER + "consent"),
    ("STOP, STOPALL, UNSUBSCRIBE, CANCEL, END,", LATER + "consent"),
    ("Each takes effect within a second and on", LATER + "consent"),
    ("Quiet hours come from a table that opera", LATER + "consent"),
    ("A cap on messages per contact and day (3", LATER + "consent"),
    # Privacy
    ("`POST /contacts/<phone_number>/erase`: 2", LATER + "privacy"),
    ("Within a day nothing that names the pers", LATER + "privacy"),
    ("What stays: counts, the ledger (with the", LATER + "privacy"),
    ("`GET /contacts/<phone_number>/export`: a", LATER + "privacy"),
    ("Retention (settings, days): payloads of", LATER + "privacy"),
    ("Deleted in small steps by beat, without", LATER + "privacy"),
    # Webhooks
    ('`POST /api/v2/webhook_endpoints` `{"url"', LATER + "webhooks"),
    ("Signed and retried as the Standard Webho", LATER + "webhooks"),
    ("Events: `job.completed`, `job.failed`, `", LATER + "webhooks"),
    ("No event per contact of a batch.", LATER + "webhooks"),
    ('Body `{"type", "timestamp", "data"}`, th', LATER + "webhooks"),
    ("An event is written in the transaction o", LATER + "webhooks"),
    ("`GET /webhook_deliveries?endpoint=&statu", LATER + "webhooks"),
    # Reading
    (
        "`GET /jobs?status=&kind=&created_after=&",
        JOBS + "test_jobs_are_filtered",
        JOBS + "test_a_filter_that_can_not_be_used_is_named",
        JOBS + "test_results_bear_their_numbers_and_are_filtered",
    ),
    (
        "`GET /jobs/<id>` bears `results_url` and",
        JOBS + "test_a_job_says_where_its_results_are_and_its_errors_if_there_are_any",
    ),
    (
        "A `completed` job with `provider_error`",
        JOBS + "test_what_no_provider_answered_for_is_retried_once_however_many_ask",
        JOBS + "test_what_can_not_be_retried_is_refused",
        RETRY + "test_only_what_got_no_answer_runs_again_and_all_counts_stay_right",
        RETRY + "test_a_retry_that_is_cancelled",
        RETRY + "test_a_worker_that_dies_in_the_middle_costs_nothing_twice",
    ),
    (
        "`not_sendable` entries bear `reason`: `l",
        EVERY_CODE,
        CONTACTS + "test_a_single_contact_that_fails_is_an_http_error",
        "contacts/test_reason.py::test_what_a_provider_says_has_a_reason",
        "contacts/test_reason.py::test_facts_that_were_stored_without_a_reason_are_given_one",
    ),
    (
        "Lists may be created and changed: `POST",
        LISTS + "test_a_list_is_made_and_takes_contacts_at_once",
        LISTS + "test_a_number_is_one_list_however_many_ask_at_once",
        LISTS + "test_a_list_is_renamed_paused_resumed_and_deleted",
        LISTS + "test_no_account_changes_or_exports_anothers_list",
    ),
    (
        "`GET /lists/<id>/contacts.csv` streams t",
        LISTS + "test_a_lists_members_come_as_csv",
        LISTS + "test_a_long_list_is_exported_whole_and_in_order",
        "contacts/test_export.py::test_no_connection_is_held_while_the_client_reads",
    ),
    (
        "A page has all of its entries, whatever",
        "contacts/test_pages.py::test_a_page_is_whole_and_in_order_whatever_its_rows_hold",
        "contacts/test_pages.py::test_a_page_of_the_largest_rows_takes_little_memory",
        "contacts/test_pages.py::test_a_contact_on_many_lists_takes_little_memory",
        "contacts/test_pages.py::test_results_of_the_largest_contacts_are_not_held_by_the_answer",
        "contacts/test_pages.py::test_an_ordinary_page_is_in_memory_and_a_failing_one_is_an_error",
    ),
    (
        "Keys have scopes: `contacts:write`, `con",
        "contract/test_keys.py::test_a_key_does_what_its_scopes_allow",
        "accounts/test_scopes.py::test_every_endpoint_declares_the_scope_of_every_method",
        "accounts/test_scopes.py::test_a_key_needs_the_scope_of_the_request_and_no_other",
        "accounts/test_scopes.py::test_a_key_has_all_scopes_unless_it_is_given_fewer",
    ),
    (
        "A key may have an end date, and a succes",
        "contract/test_keys.py::test_a_successor_works_beside_the_key_until_that_ends",
        "accounts/test_keys.py::test_a_key_ends_at_its_end_date",
        "accounts/test_keys.py::test_a_successor_works_beside_the_key_until_that_ends",
    ),
    # People and commands
    ("a user of an account (role `owner`, `mar", LATER + "people and commands"),
    ("`trackly import FILE [--list +1…] [--map", LATER + "people and commands"),
    ("`trackly jobs`, `trackly job ID --watch`", LATER + "people and commands"),
    ("`manage.py import_contacts FILE --accoun", LATER + "people and commands"),
]


@cache
def sentences() -> list[str]:
    """The contract's sentences: a table's row is one; in running text each ends with a full stop."""
    text = CONTRACT.read_text().split("\n## ", 1)[1]
    found: list[str] = []
    for block in re.split(r"\n\n", re.sub(r"^#.*$", "", text, flags=re.MULTILINE)):
        rows = [line.strip("| ") for line in block.splitlines() if line.startswith("|")]
        if rows:
            found += rows[2:]
            continue
        for item in re.split(r"\n- ", "\n" + block):
            running = " ".join(item.split())
            found += re.split(r"(?<=[^.…]\.)\s+(?=[A-Z`])", running) if running else []
    return found[1:]  # behind the first heading


@cache
def known_tests() -> set[str]:
    """All tests, as `folder/file.py::name`."""
    return {
        f"{path.relative_to(TESTS)}::{node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("sentence", sentences(), ids=lambda sentence: sentence[:60])
def test_every_sentence_of_the_contract_has_a_row(sentence: str) -> None:
    rows = [beginning for beginning, *_ in TABLE if beginning in sentence]
    assert rows


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0][:60])
def test_every_row_names_a_sentence_and_tests_that_exist(row: tuple[str, ...]) -> None:
    beginning, *shown_by = row
    assert any(beginning in sentence for sentence in sentences())
    known = known_tests()
    assert shown_by
    for name in shown_by:
        assert name.startswith(LATER) or any(test.startswith(name) for test in known), name
