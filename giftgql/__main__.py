from giftgql.cli import main

main()
