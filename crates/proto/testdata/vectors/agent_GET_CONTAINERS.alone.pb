	Rµ
Ô
+
)43ea2ba9-5d5c-44b6-b998-9c20d885b287-0000
listener-jsonlistener"&
$bc0d6b6b-0c17-437b-a3a1-1e2944eda404*+Þg"&
$bc0d6b6b-0c17-437b-a3a1-1e2944eda40425	·d…–ÊÀÚA{®Gáz”?{®Gáz„?(€€Ã0€€€ °€€€ é333333ã?
Ò
+
)43ea2ba9-5d5c-44b6-b998-9c20d885b287-0000
listener-pblistener"&
$6c61e00c-beb7-4bfa-ad6f-d9fa2370f563*+¦p"&
$6c61e00c-beb7-4bfa-ad6f-d9fa2370f56325	0……–ÊÀÚA{®Gáz”?{®Gáz„?(€€À0€€€ °€€€ é333333ã?
…
+
)43ea2ba9-5d5c-44b6-b998-9c20d885b287-0000
twiceACommand Executor (Task: twice) (Command: sh -c 'echo hello; ...')"&
$65b98aa0-4cf6-413a-866f-dbb957866ac2*+òf"&
$65b98aa0-4cf6-413a-866f-dbb957866ac225	YÂ…–ÊÀÚA{®Gáz´?{®Gáz„?(€€˜0€€€ °€€€ éš™™™™™É?
þ
+
)43ea2ba9-5d5c-44b6-b998-9c20d885b287-0000
long;Command Executor (Task: long) (Command: sh -c 'sleep 1000')"&
$4393d28a-7348-4e3d-bce4-e796c98c2169*+îf"&
$4393d28a-7348-4e3d-bce4-e796c98c216925	>†–ÊÀÚA
×£p=
·?{®Gáz”?(€Àœ0€€€ °€€€ é333333ã?