# Fields are cut at blanks, as in many a recipe; wrong for users with a blank in their name. gawk is faster so.
{
    t = $7; if (i = index(t, "?")) t = substr(t, 1, i - 1)
    k = substr($6, 2) "\t" t "\t" $9; n[k]++; b[k] += $10
}
END { for (k in n) printf "%s\t%d\t%.0f\n", k, n[k], b[k] }
