
# What is left out above: arguments that are no options.
complete -c socketchat -n "__fish_socketchat_using_subcommand connect relay" -f -a "(__fish_print_hostnames)"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -f
complete -c socketchat -n "__fish_socketchat_using_subcommand check; and not __fish_seen_subcommand_from client server" -f -a "client server"
complete -c socketchat -n "__fish_socketchat_using_subcommand completions" -f -a "SHELLS"
complete -c socketchat -n "__fish_socketchat_using_subcommand help" -f -a "SUBCOMMANDS"
