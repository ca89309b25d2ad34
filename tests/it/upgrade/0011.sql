update paces set model = '{"1": {"expected": 0.5, "agreed": true, "longer": null, "running": 0.4, "varies": false, "early": 0}}';
