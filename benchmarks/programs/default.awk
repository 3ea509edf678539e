# Fields are cut at tabs (-F'\t'). Method and route stay one string, which is less work than to part them.
{ k = $2 "\t" $3; n[k]++; b[k] += $4 }
END { for (k in n) { r = k; sub(/ /, "\t", r); printf "%s\t%d\t%.0f\n", r, n[k], b[k] } }
