‚£

$43ea2ba9-5d5c-44b6-b998-9c20d885b287ÿ€€Êu"master@127.0.0.1:15050*	localhost21.11.0:
	localhost	127.0.0.1ÊuB



r
zJJJæEŠÊÀÚA	ûEŠÊÀÚA