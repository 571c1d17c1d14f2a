#include "cell.h"
#include <stdio.h>
int main(void){ for (const struct tm_cell*const*c=cells_all();*c;c++) for (unsigned t=1;t<=2&&t<=(*c)->engine->max_threads;t++){ union tm_value a[16],o[16]; params_default((*c)->workload->params,a); params_default((*c)->engine->options,o);
 struct cell_request r={.cell=*c,.machine=machine_find("native"),.args=a,.options=o,.threads=t,.seed=1,.warmup_ns=10000000,.interval_ns=100000000};
 struct cell_sample s; cell_measure(&r,&s);
 printf("%-10s %-8s %-12s %u %s %7.2f ns commits %lu ops %lu aborts %lu %s\n",(*c)->workload->name,(*c)->engine->name,(*c)->engine->variant?:"",t,s.ok?"ok":"FAIL",(double)s.elapsed_ns/s.ops,s.stats.commits,s.ops,s.stats.aborts[0],s.why);} }
