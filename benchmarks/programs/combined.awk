# Fields are cut at double quotes (-F'"'): $2 is the request, $3 status and bytes.
{
    split($2, r, " "); split($3, s, " ")
    t = r[2]; if (i = index(t, "?")) t = substr(t, 1, i - 1)
    k = r[1] "\t" t "\t" s[1]; n[k]++; b[k] += s[2]
}
END { for (k in n) printf "%s\t%d\t%.0f\n", k, n[k], b[k] }
