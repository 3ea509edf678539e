# awk knows no JSON: this looks for the members' names, and would be fooled by one inside a string.
{
    i = index($0, "\"method\":\""); m = substr($0, i + 10, 16); m = substr(m, 1, index(m, "\"") - 1)
    i = index($0, "\"uri\":\""); t = substr($0, i + 7); t = substr(t, 1, match(t, /[?"]/) - 1)
    s = substr($0, index($0, "\"status\":") + 9, 3)
    z = substr($0, index($0, "\"size\":") + 7, 20) + 0
    k = m "\t" t "\t" s; n[k]++; b[k] += z
}
END { for (k in n) printf "%s\t%d\t%.0f\n", k, n[k], b[k] }
