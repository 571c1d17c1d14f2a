/*
 * test_sim_profile.c - profiles of simulated machines: what is built in loads and says where its
 * values come from, overrides do what they say, and everything that is wrong is refused by one line
 * with file, key, value and what would be right.
 */
#include "../machine/sim/profile.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h> /* needs the headers above it */

enum { WHY = 1024, OVERRIDES_MAX = 8 };
static char why[WHY];

/* Overrides separated by blanks. */
static bool load(const char *name, const char *set, struct sim_profile *p) {
    char copy[512];
    const char *list[OVERRIDES_MAX];
    size_t n = 0;
    snprintf(copy, sizeof copy, "%s", set);
    for (char *word = strtok(copy, " "); word != NULL && n < OVERRIDES_MAX;
         word = strtok(NULL, " "))
        list[n++] = word;
    why[0] = '\0';
    return sim_profile_load(name, list, n, p, why, sizeof why);
}

static struct sim_profile loaded(const char *name, const char *set) {
    struct sim_profile p;
    if (!load(name, set, &p))
        fail_msg("%s %s: %s", name, set, why);
    return p;
}

/* Refused; the line contains each of up to three texts, and nothing was written. */
static void refused(const char *name, const char *set, const char *a, const char *b,
                    const char *c) {
    struct sim_profile p, before;
    memset(&p, 0x5a, sizeof p);
    before = p;
    if (load(name, set, &p))
        fail_msg("%s %s was accepted", name, set);
    const char *const texts[] = {a, b, c};
    for (unsigned i = 0; i < 3; i++)
        if (texts[i] != NULL && strstr(why, texts[i]) == NULL)
            fail_msg("%s %s: no '%s' in: %s", name, set, texts[i], why);
    assert_null(strchr(why, '\n'));
    assert_memory_equal(&p, &before, sizeof p);
}

/* ---- files made from a built-in profile ----------------------------------------------------- */

static char path[] = "/tmp/test_sim_profile_XXXXXX.json";

static int make_path(void **state) {
    (void)state;
    const int fd = mkstemps(path, 5);
    return fd >= 0 ? close(fd) : -1;
}

static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

static void write_text(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The i7-4770's file with what stands at `pointer` ("l1.size.unit") replaced; json NULL removes it,
 * a key that is not there is added. */
static void write_changed(const char *pointer, const char *json) {
    json_t *root = json_loads(sim_profile_text("i7-4770"), 0, NULL), *at = root;
    assert_non_null(root);
    char copy[64];
    snprintf(copy, sizeof copy, "%s", pointer);
    char *key = copy;
    for (char *dot; (dot = strchr(key, '.')) != NULL; key = dot + 1) {
        *dot = '\0';
        at = json_object_get(at, key);
        assert_non_null(at);
    }
    if (json == NULL) {
        assert_int_equal(json_object_del(at, key), 0);
    } else {
        json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        assert_int_equal(json_object_set_new(at, key, value), 0);
    }
    char *text = json_dumps(root, 0);
    write_text(text);
    free(text);
    json_decref(root);
}

static void file_refused(const char *pointer, const char *json, const char *key,
                         const char *right) {
    write_changed(pointer, json);
    refused(path, "", path, key, right);
}

/* ---- what is built in ----------------------------------------------------------------------- */

static void each_is_named_as_its_file_and_fits(void **state) {
    (void)state;
    unsigned n = 0;
    for (const char *const *name = sim_profile_names(); *name != NULL; name++, n++) {
        const struct sim_profile p = loaded(*name, "");
        assert_string_equal(p.name, *name);
        assert_true(sim_profile_threads(&p) >= 1);
        assert_int_equal(p.hypothetical, strstr(p.title, "hypothetical machine") != NULL);
    }
    assert_true(n >= 6);
}

static void the_shipped_ones_have_the_published_figures(void **state) {
    (void)state;
    const struct sim_profile i7 = loaded("i7-4770", ""), z = loaded("zec12", ""),
                             clx = loaded("cascade-lake", ""), epyc = loaded("epyc-7003", ""),
                             h = loaded("hypothetical-64", ""), ideal = loaded("ideal", "");
    assert_int_equal(sim_profile_threads(&i7), 8);
    assert_int_equal(i7.l1.size_bytes, 32768);
    assert_int_equal(i7.l3.latency_cycles, 42);
    assert_int_equal(i7.transfer_group_cycles, 71); /* 21 ns at 3.4 GHz */
    assert_int_equal(i7.context_switch_ns, 1200);
    assert_int_equal(i7.tick_ns, 4000000);
    assert_true(i7.htm.present && !i7.hypothetical);
    assert_int_equal(z.line_bytes, 256);
    assert_int_equal(z.groups_per_socket, 2);
    assert_int_equal(sim_profile_threads(&z), 12);
    assert_int_equal(sim_profile_threads(&clx), 56);
    assert_int_equal(clx.transfer_remote_cycles, 365); /* 135 ns at 2.7 GHz: 364.5 */
    assert_int_equal(sim_profile_threads(&epyc), 128);
    assert_false(epyc.htm.present);
    assert_int_equal(sim_profile_threads(&h), 64);
    assert_true(h.hypothetical && h.htm.present);
    assert_int_equal(h.l3.size_bytes, epyc.l3.size_bytes);
    assert_int_equal(h.transfer_socket_cycles, epyc.transfer_socket_cycles);
    assert_true(sim_profile_threads(&ideal) >= 64);
    assert_int_equal(ideal.l1.latency_cycles, 1);
    assert_int_equal(ideal.dram_cycles, 1);
    assert_int_equal(ideal.transfer_remote_cycles, 1);
    assert_int_equal(ideal.lead_cycles, 0);
}

static void keys_of_the_table_are_those_of_the_files(void **state) {
    (void)state;
    size_t count;
    const struct sim_profile_key *keys = sim_profile_keys(&count);
    json_t *root = json_loads(sim_profile_text("ideal"), 0, NULL);
    size_t in_file = 0;
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value) {
        (void)key;
        in_file += !json_is_object(value)                     ? 0
                   : json_object_get(value, "source") != NULL ? 1
                                                              : json_object_size(value);
    }
    json_decref(root);
    assert_int_equal(count, in_file);
    for (size_t k = 0; k < count; k++) {
        assert_true(keys[k].help[0] != '\0');
        for (size_t other = 0; other < k; other++)
            assert_string_not_equal(keys[k].key, keys[other].key);
    }
}

static void a_key_gives_its_value(void **state) {
    (void)state;
    const struct sim_profile p =
        loaded("i7-4770", "l2.size=512K ipc=2.25 wake=7us l2.replacement=random htm.present=false");
    size_t count;
    const struct sim_profile_key *keys = sim_profile_keys(&count);
    unsigned found = 0;
    for (size_t k = 0; k < count; k++) {
        const double value = sim_profile_value(&p, &keys[k]);
        const struct {
            const char *key;
            double value;
        } expected[] = {{"l2.size", 524288}, {"ipc", 2.25},
                        {"wake", 7000},      {"l2.replacement", SIM_RANDOM},
                        {"htm.present", 0},  {"cores_per_group", 4}};
        for (unsigned e = 0; e < sizeof expected / sizeof *expected; e++)
            if (strcmp(keys[k].key, expected[e].key) == 0) {
                assert_true(value == expected[e].value);
                found++;
            }
    }
    assert_int_equal(found, 6);
}

/* ---- overrides ------------------------------------------------------------------------------ */

static void an_override_changes_its_value_only(void **state) {
    (void)state;
    struct sim_profile p = loaded("i7-4770", "ipc=2.5"), q = loaded("i7-4770", "");
    assert_true(p.ipc == 2.5);
    assert_string_equal(p.title, "Intel Core i7-4770 (Haswell, 2013), changed: ipc=2.5");
    p.ipc = q.ipc;
    memcpy(p.title, q.title, sizeof p.title);
    assert_memory_equal(&p, &q, sizeof p);
}

static void units_of_overrides(void **state) {
    (void)state;
    const struct sim_profile p =
        loaded("i7-4770", "l3.size=16M l2.size=512KiB dram=100ns wake=2us time_slice=1ms lead=0 "
                          "l1.latency=5cycles l1.size=65536");
    assert_int_equal(p.l3.size_bytes, 16 << 20);
    assert_int_equal(p.l2.size_bytes, 512 << 10);
    assert_int_equal(p.dram_cycles, 340);
    assert_int_equal(p.wake_ns, 2000);
    assert_int_equal(p.time_slice_ns, 1000000);
    assert_int_equal(p.lead_cycles, 0);
    assert_int_equal(p.l1.latency_cycles, 5);
    assert_int_equal(p.l1.size_bytes, 65536);
    assert_int_equal(p.l1.ways, 8);
    assert_int_equal(loaded("i7-4770", "clock=5GHz").transfer_group_cycles, 105); /* 21 ns */
    assert_int_equal(loaded("i7-4770", "transfer_group=0.1ns").transfer_group_cycles, 1);
    assert_int_equal(loaded("i7-4770", "context_switch=1.1us").context_switch_ns, 1100);
    assert_true(loaded("i7-4770", "ipc=1 ipc=2").ipc == 2); /* the later one */
}

static void a_size_alone_keeps_the_sets_when_it_must(void **state) {
    (void)state;
    assert_int_equal(loaded("i7-4770", "l1.size=48K").l1.ways, 12);
    assert_int_equal(loaded("i7-4770", "l1.size=16K").l1.ways, 8); /* 32 sets */
    assert_int_equal(loaded("i7-4770", "l1.size=48K l1.ways=24").l1.ways, 24);
    assert_int_equal(loaded("i7-4770", "l3.size=10M").l3.ways, 20);
    refused("i7-4770", "l1.size=48K l1.ways=8", "--set l1.size=48K", "96 sets", "32K or 64K");
    refused("i7-4770", "l1.size=33K", "--set l1.size=33K", "66 sets", "32K or 64K");
}

static void from_one_to_1024_hardware_threads(void **state) {
    (void)state;
    for (const char *const *name = sim_profile_names(); *name != NULL; name++) {
        const char *const one = "sockets=1 groups_per_socket=1 cores_per_group=1 smt=1";
        struct sim_profile p = loaded(*name, one);
        assert_int_equal(sim_profile_threads(&p), 1);
        for (unsigned cores = 1; cores <= 1024; cores++) {
            char set[128];
            snprintf(set, sizeof set, "sockets=1 groups_per_socket=1 smt=1 cores_per_group=%u",
                     cores);
            if (cores < 8 || cores % 97 == 0 || cores > 1020) {
                p = loaded(*name, set);
                assert_int_equal(sim_profile_threads(&p), cores);
            }
        }
        p = loaded(*name, "sockets=4 groups_per_socket=16 cores_per_group=8 smt=2");
        assert_int_equal(sim_profile_threads(&p), 1024);
    }
    refused("ideal", "cores_per_group=1025", "--set cores_per_group=1025", "is 1025",
            "from 1 to 1024");
    refused("ideal", "cores_per_group=513 smt=2", "--set cores_per_group=513",
            "are 1026 hardware threads", "from 1 to 1024");
    refused("epyc-7003", "groups_per_socket=128", "--set groups_per_socket=128", "2048", NULL);
}

static void overrides_that_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *set, *what, *right;
    } wrong[] = {
        {"ipc", "--set ipc", "KEY=VALUE"},
        {"ipc=", "--set ipc=", "KEY=VALUE"},
        {"=3", "--set =3", "KEY=VALUE"},
        {"ipx=3", "no key 'ipx'", "did you mean ipc?"},
        {"l1.sise=48K", "no key 'l1.sise'", "did you mean l1.size?"},
        {"cores=16", "no key 'cores'", "did you mean cores_per_group?"},
        {"l1=48K", "no key 'l1'", NULL},
        {"zzzzzz=1", "no key 'zzzzzz'", "there are: sockets"},
        {"name=x", "name cannot be set", "profile file"},
        {"hypothetical=false", "hypothetical cannot be set", "profile file"},
        {"ipc=fast", "--set ipc=fast", "must be a number from 0.05 to 16"},
        {"ipc=-1", "--set ipc=-1", "must be a number from 0.05 to 16"},
        {"ipc=0", "is 0", "from 0.05 to 16"},
        {"ipc=17", "is 17", "from 0.05 to 16"},
        {"ipc=nan", "--set ipc=nan", "must be a number"},
        {"ipc=inf", "--set ipc=inf", "must be a number"},
        {"ipc=0x2", "--set ipc=0x2", "plain number"},
        {"ipc=1.2.3", "--set ipc=1.2.3", "must be a number"},
        {"ipc=2K", "'K' is no unit", "a plain number of instructions/cycle"},
        {"l1.size=48X", "'X' is no unit", "a plain number of bytes or one with B, K, KiB, M, MiB"},
        {"l1.size=0", "is 0 bytes", "from 1K to 1024M"},
        {"l1.size=99999999999999999999", "--set l1.size", "from 1K to 1024M"},
        {"l1.size=1000.5", "1000.5 bytes", "from 1K"},
        {"l1.ways=0", "is 0", "from 1 to 256"},
        {"l1.ways=2.5", "is 2.5", "whole, from 1 to 256"},
        {"l1.ways=12", "are 42.", "24K or 48K"},
        {"l1.latency=0", "is 0 cycles", "from 1 to 10000 cycles"},
        {"l1.latency=13", "is 13 cycles", "at most l2.latency, which is 12"},
        {"l2.latency=3", "is 3 cycles", "at least l1.latency, which is 4"},
        {"dram=40", "is 40 cycles", "at least l3.latency, which is 42"},
        {"dram=5us", "'us' is no unit", "cycles, ns"},
        {"l1.size=512K", "is 524288 bytes", "at most l2.size, which is 262144"},
        {"l2.size=16K", "is 16384 bytes", "at least l1.size, which is 32768"},
        {"l1.replacement=plru", "--set l1.replacement=plru", "must be lru, tree-plru or random"},
        {"l3.ways=128 l3.replacement=tree-plru", "--set l3.ways=128: is 128", "at most 64"},
        {"line=48", "is 48 bytes", "a power of two: 32 or 64"},
        {"line=8", "is 8 bytes", "from 16 to 1K"},
        {"page=8K", "is 8 KiB", "must be 4K"},
        {"smt=3", "is 3", "from 1 to 2"},
        {"sockets=0", "is 0", "from 1 to 64"},
        {"overlap=1.5", "is 1.5", "from 0 to 1"},
        {"lead=1.5", "is 1.5 cycles", "whole"},
        {"lead=-1", "--set lead=-1", "from 0"},
        {"clock=0", "is 0", "from 0.1 to 20"},
        {"clock=3400MHz", "'MHz' is no unit", "a plain number of GHz or one with GHz"},
        {"tick=1", "is 1 ns", "from 1000"},
        {"tick_cost=5ms", "is 5000000 ns", "at most tick, which is 4000000"},
        {"wake=1ms", "is 1000000 ns", "at most wake_deep"},
        {"transfer_socket=1", "is 1 cycles", "at least transfer_group, which is 71"},
        {"htm.present=yes", "--set htm.present=yes", "true or false"},
        {"htm=true", "there is no key 'htm'", "there are"},
        {"htm.policy=committer", "--set htm.policy=committer",
         "must be requester, responder or oldest"},
        {"htm.read_level=l4", "--set htm.read_level=l4", "must be l1, l2 or l3"},
        {"htm.write_level=l3", "--set htm.write_level=l3", "must be l1 or l2"},
        {"htm.nesting=0", "is 0", "from 1 to 1000"},
        {"htm.abort=-1", "--set htm.abort=-1", "from 0 to 100000 cycles"},
        {"htm.spurious=2000000", "is 2000000", "from 0 to 1000000"},
        {"htm.write_entry=96 htm.write_entries=64", "htm.write_entry=96: is 96 bytes",
         "a power of two, at most a line, which is 64"},
        {"htm.write_entry=128 htm.write_entries=64", "htm.write_entry=128: is 128 bytes",
         "a power of two, at most a line, which is 64"},
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused("i7-4770", wrong[i].set, wrong[i].what, wrong[i].right,
                strchr(wrong[i].set, ' ') == NULL ? "--set" : NULL);
}

/* ---- files ---------------------------------------------------------------------------------- */

static void files_that_are_refused(void **state) {
    (void)state;
    write_text("");
    refused(path, "", path, NULL, NULL);
    write_text("{\"name\": \"x\",\n \"name\": \"y\"}");
    refused(path, "", path, "duplicate", ":2:");
    write_text("[1]");
    refused(path, "", path, "is a list, must be an object", NULL);
    write_text("{} {}");
    refused(path, "", path, NULL, NULL);
    file_refused("colour", "1", "unknown key 'colour'", NULL);
    file_refused("ips", "1", "unknown key 'ips'", "did you mean ipc?");
    file_refused("l1.sets", "64", "unknown key 'l1.sets'", NULL);
    file_refused("ipc.unti", "\"x\"", "unknown key 'ipc.unti'", "did you mean unit?");
    file_refused("l1.size.note", "1", "unknown key 'l1.size.note'", "value");
    file_refused("ipc", NULL, "ipc is missing", "instructions/cycle");
    file_refused("l2", NULL, "l2 is missing", "size, ways, latency and replacement");
    file_refused("l2", "3", "l2 is a number", "must be an object");
    file_refused("l2.ways", NULL, "l2.ways is missing", "\"count\"");
    file_refused("l2.ways", "8", "l2.ways is a number", "{\"value\", \"unit\": \"count\"");
    file_refused("ipc.value", NULL, "ipc.value is missing", NULL);
    file_refused("ipc.unit", NULL, "ipc.unit is missing", "a string");
    file_refused("ipc.source", NULL, "ipc.source is missing", "a string");
    file_refused("ipc.source", "\"\"", "ipc.source is ''", "1 to 1000 bytes");
    file_refused("ipc.source", "\"two\\nlines\"", "ipc.source", "one line");
    file_refused("ipc.source", "7", "ipc.source is a number", "a string");
    file_refused("ipc.value", "\"3\"", "ipc: value is a string", "from 0.05 to 16");
    file_refused("ipc.value", "null", "ipc: value is null", "from 0.05 to 16");
    file_refused("ipc.value", "99", "ipc: is 99", "from 0.05 to 16");
    file_refused("clock.unit", "\"MHz\"", "clock.unit is 'MHz'", "must be GHz");
    file_refused("clock.value", "-1", "clock: is -1", "from 0.1 to 20");
    file_refused("l1.size.unit", "\"KB\"", "l1.size.unit is 'KB'", "one of: bytes KiB MiB");
    file_refused("dram.unit", "\"us\"", "dram.unit is 'us'", "one of: cycles ns");
    file_refused("wake.unit", "\"cycles\"", "wake.unit is 'cycles'", "one of: ns us ms");
    file_refused("l1.size.value", "48", "l1.size: 48K",
                 "96 sets, must be a power of two: 32K or 64K");
    file_refused("l1.size.value", "0.01", "l1.size: is 0.01 KiB", "from 1K");
    file_refused("l1.ways.value", "1.5", "l1.ways: is 1.5", "whole");
    file_refused("line.value", "96", "line: is 96 bytes", "64 or 128");
    file_refused("cores_per_group.value", "1024", "cores_per_group: 1 sockets",
                 "2048 hardware threads");
    file_refused("l1.replacement.value", "\"fifo\"", "l1.replacement: is 'fifo'",
                 "must be lru, tree-plru or random");
    file_refused("l1.replacement.value", "1", "l1.replacement: value is a number", "lru");
    file_refused("htm.present.value", "1", "htm.present: value is a number", "true or false");
    file_refused("htm", NULL, "htm is missing", "present, policy");
    file_refused("htm", "{\"value\": true, \"unit\": \"flag\", \"source\": \"x\"}",
                 "htm.value is true", "must be false");
    file_refused("htm", "{\"value\": false, \"unit\": \"flag\"}", "htm.source is missing",
                 "a string");
    file_refused("htm", "{\"value\": false, \"unit\": \"flag\", \"source\": \"x\", \"y\": 1}",
                 "unknown key 'htm.y'", "value");
    file_refused("htm.policy.value", "\"eager\"", "htm.policy: is 'eager'",
                 "must be requester, responder or oldest");
    file_refused("htm.begin", NULL, "htm.begin is missing", "\"cycles\"");
    file_refused("name", NULL, "name is missing", "a string");
    file_refused("name", "\"a/b\"", "name is 'a/b'", "letters, digits");
    file_refused("title", "3", "title is a number", "a string");
    file_refused("hypothetical", "0", "hypothetical is a number", "true or false");
    file_refused("hypothetical", NULL, "hypothetical is missing", "true or false");
    file_refused("hypothetical", "true", "title is", "must say 'hypothetical machine'");
    file_refused("l3.latency.value", "5", "l3.latency: is 5 cycles", "at least l2.latency");
}

static void a_flag_stands_for_no_hardware_transactions(void **state) {
    (void)state;
    write_changed("htm", "{\"value\": false, \"unit\": \"flag\", \"source\": \"none\"}");
    const struct sim_profile i7 = loaded("i7-4770", ""), without = loaded(path, ""),
                             with = loaded(path, "htm.present=true");
    assert_false(without.htm.present);
    assert_memory_equal(&with.htm, &i7.htm, sizeof i7.htm);
    char why[1024];
    char *text = sim_profile_resolve(path, NULL, 0, why, sizeof why);
    assert_non_null(text);
    write_text(text); /* in full */
    free(text);
    const struct sim_profile again = loaded(path, "");
    assert_memory_equal(&again, &without, sizeof again);
}

static void what_cannot_be_found_is_refused(void **state) {
    (void)state;
    refused("i7-4777", "", "no profile 'i7-4777'", "did you mean i7-4770?", NULL);
    refused("pentium", "", "no profile 'pentium'", "there are: cascade-lake, epyc-7003", ".json");
    refused("", "", "no profile ''", NULL, NULL);
    refused("/nowhere/x.json", "", "/nowhere/x.json", "No such file", NULL);
    refused("absent.json", "", "absent.json", "No such file", NULL);
    refused("/tmp/", "", "/tmp/", "directory", NULL);
}

static void a_file_is_read_as_what_is_built_in(void **state) {
    (void)state;
    write_text(sim_profile_text("zec12"));
    const struct sim_profile a = loaded("zec12", ""), b = loaded(path, "");
    assert_memory_equal(&a, &b, sizeof a);
}

static void a_resolved_profile_is_a_file_of_the_same_machine(void **state) {
    (void)state;
    const char *const set[] = {"l1.size=48K", "dram=80ns", "ipc=2.5", "sockets=2"};
    const struct sim_profile a = loaded("i7-4770", "l1.size=48K dram=80ns ipc=2.5 sockets=2");
    char *text = sim_profile_resolve("i7-4770", set, 4, why, sizeof why);
    assert_non_null(text);
    assert_non_null(strstr(text, "command line: --set dram=80ns"));
    assert_non_null(strstr(text, "follows from l1.size=48K: the 64 sets are kept"));
    write_text(text);
    free(text);
    const struct sim_profile b = loaded(path, "");
    assert_memory_equal(&a, &b, sizeof a);
    assert_null(
        sim_profile_resolve("i7-4770", (const char *const[]){"ipc=99"}, 1, why, sizeof why));
    assert_non_null(strstr(why, "from 0.05 to 16"));
}

static void a_long_title_still_says_that_it_was_changed(void **state) {
    (void)state;
    char title[160];
    snprintf(title, sizeof title, "\"%0127d\"", 0);
    write_changed("title", title);
    assert_non_null(strstr(loaded(path, "ipc=2").title, ", changed: ..."));
    assert_non_null(strstr(loaded("i7-4770", "ipc=2 overlap=0.125 smt_ipc=0.75 store_overlap=0.625 "
                                             "atomic=100 fence=100 pause=100 lead=10000")
                               .title,
                           "ipc=2, overlap=0.125"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_named_as_its_file_and_fits),
        cmocka_unit_test(the_shipped_ones_have_the_published_figures),
        cmocka_unit_test(keys_of_the_table_are_those_of_the_files),
        cmocka_unit_test(a_key_gives_its_value),
        cmocka_unit_test(an_override_changes_its_value_only),
        cmocka_unit_test(units_of_overrides),
        cmocka_unit_test(a_size_alone_keeps_the_sets_when_it_must),
        cmocka_unit_test(from_one_to_1024_hardware_threads),
        cmocka_unit_test(overrides_that_are_refused),
        cmocka_unit_test(files_that_are_refused),
        cmocka_unit_test(a_flag_stands_for_no_hardware_transactions),
        cmocka_unit_test(what_cannot_be_found_is_refused),
        cmocka_unit_test(a_file_is_read_as_what_is_built_in),
        cmocka_unit_test(a_resolved_profile_is_a_file_of_the_same_machine),
        cmocka_unit_test(a_long_title_still_says_that_it_was_changed),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
