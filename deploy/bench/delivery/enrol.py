"""enrol.py PORT FOLDER: gives apps to the members of the shop's brand who allow it; their installations go into FOLDER/subjects."""
BRAND = ("maison-aubrac", "maison-aubrac")
import csv, json, sys, urllib.error, urllib.request

port, folder = sys.argv[1:]
token = open(folder + "/demo-token").read().strip()
with open(folder + "/subjects", "w") as out:
    for row in csv.DictReader(open(folder + "/data/members.csv")):
        if (row["brand"], row["entity"]) != BRAND:
            continue
        body = {"brand": row["brand"], "entity": row["entity"], "member": {"kind": "crm_id", "value": row["crm_id"]},
                "age": "adult", "wording": {"id": "app-presence", "version": "2026-10", "language": "fr"}, "purposes": ["presence", "match"]}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/app/installations", json.dumps(body).encode(),
                                         {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
        try:
            print(json.load(urllib.request.urlopen(request))["installation"], file=out)
        except urllib.error.HTTPError as refused:
            # Some withdrew, or never said yes; anything else would make strangers of the whole fleet.
            if refused.code != 403:
                sys.exit(f"enrol.py: the hub answers {refused.code}: {refused.read().decode()}")
    if not out.tell():
        sys.exit("enrol.py: no member could be enrolled")
