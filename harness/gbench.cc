/*
 * gbench.cc - Google Benchmark behind a C interface.  See gbench.h.  No exception leaves this file.
 *
 * Version 1.7.1 returns from a run as if nothing had happened when a benchmark was skipped with an
 * error or when no benchmark matched; so success is only what the reporter was told.
 */
#include "gbench.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Reporter : benchmark::BenchmarkReporter {
    bool reported = false, failed = false;
    std::string error;
    double real_ns = 0;

    bool ReportContext(const Context &) override { return true; }
    void ReportRuns(const std::vector<Run> &runs) override {
        for (const Run &run : runs) {
            if (run.run_type != Run::RT_Iteration)
                continue;
            reported = true;
            failed = failed || run.error_occurred;
            if (run.error_occurred)
                error = run.error_message;
            else
                real_ns = run.GetAdjustedRealTime();
        }
    }
};

struct Body {
    gbench_body *body;
    void *argument;
    char *why;
    size_t why_size;
    void operator()(benchmark::State &state) const {
        for (auto _ : state) {
            double seconds = 0;
            if (!body(argument, &seconds, why, why_size)) {
                state.SkipWithError(why);
                break;
            }
            state.SetIterationTime(seconds);
        }
    }
};

} // namespace

bool gbench_run(const char *name, gbench_body *body, void *argument, double *real_ns, char *why,
                size_t why_size) {
    try {
        benchmark::ClearRegisteredBenchmarks();
        benchmark::RegisterBenchmark(name, Body{body, argument, why, why_size})
            ->Iterations(1)
            ->Repetitions(1)
            ->UseManualTime()
            ->Unit(benchmark::kNanosecond);
        Reporter reporter;
        const size_t matched = benchmark::RunSpecifiedBenchmarks(&reporter, ".");
        benchmark::ClearRegisteredBenchmarks();
        if (matched == 1 && reporter.reported && !reporter.failed) {
            *real_ns = reporter.real_ns;
            return true;
        }
        if (reporter.failed)
            std::snprintf(why, why_size, "%s", std::string(reporter.error).c_str());
        else
            std::snprintf(why, why_size, "Google Benchmark did not run it");
    } catch (const std::exception &e) {
        std::snprintf(why, why_size, "Google Benchmark: %s", e.what());
    }
    return false;
}

char *gbench_context(void) {
    try {
        std::ostringstream text;
        benchmark::JSONReporter reporter;
        reporter.SetOutputStream(&text);
        reporter.SetErrorStream(&text);
        reporter.ReportContext(benchmark::BenchmarkReporter::Context());
        /* { "context": { ... }, "benchmarks": [ : the object in the middle is what is wanted */
        const std::string all = text.str();
        const size_t from = all.find('{', all.find("\"context\""));
        const size_t to = all.rfind('}');
        if (from == std::string::npos || to == std::string::npos || to < from)
            return nullptr;
        return strdup(all.substr(from, to - from + 1).c_str());
    } catch (const std::exception &) {
        return nullptr;
    }
}
