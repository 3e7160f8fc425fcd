/** The daemons of docs/recipes, as the tests see them: what the pages promise of each. */
import { download, halfRequest, type Recipe } from "./recipe.ts";

/** Has the server on this port answer with another text. */
const says = (text: string, port: number): string =>
  `[ "$(curl -s http://127.0.0.1:${port}/)" != "${text}" ] || echo reloaded`;

/** All of them, in the order of the index page. */
export const recipes: readonly Recipe[] = [
  {
    name: "redis",
    program: "redis-server",
    data: { write: "redis-cli set recipe kept", read: "redis-cli get recipe" },
    leaves: ["/var/lib/redis/", "/var/log/redis/"],
  },
  {
    name: "memcached",
    program: "memcached",
    leaves: [],
  },
  {
    name: "node",
    program: "node",
    leaves: [],
  },
  {
    name: "gunicorn",
    program: "gunicorn",
    slowStopMs: 20_000, // the grace period of the kill in its start
    reload: {
      change: "sed -i s/hello/changed/ /opt/gunicorn/app.py",
      applied: says("changed", 8000),
      session: halfRequest(8000, "/"),
    },
    leaves: [],
  },
  {
    name: "dnsmasq",
    program: "dnsmasq",
    reload: {
      change: "echo 192.0.2.2 two.example >>/opt/dnsmasq/hosts",
      applied: `[ "$(dig +short +tries=1 @127.0.0.1 two.example)" != 192.0.2.2 ] || echo reloaded`,
    },
    leaves: [],
  },
  {
    name: "haproxy",
    program: "haproxy",
    reload: {
      change: 'sed -i \'s/"ready"/"changed"/\' /opt/haproxy/haproxy.cfg',
      applied: `[ "$(curl -s http://127.0.0.1:8081/ready)" != changed ] || echo reloaded`,
      session: halfRequest(8081, "/ready"),
    },
    leaves: [],
  },
  {
    name: "nginx",
    program: "nginx",
    ownPidFile: "/run/nginx.pid",
    prepare: "truncate -s 40000000 /var/www/html/big",
    reload: {
      change: "echo 'add_header X-Recipe changed;' >/etc/nginx/conf.d/recipe.conf",
      applied: "! curl -sI http://127.0.0.1/big | grep -q X-Recipe || echo reloaded",
      session: download(80, "/big"),
    },
    leaves: ["/var/log/nginx/", "/var/www/html/", "/var/lib/nginx/"],
  },
  {
    name: "apache2",
    program: "apache2",
    ownPidFile: "/run/apache2/apache2.pid",
    prepare: "truncate -s 40000000 /var/www/html/big; echo hello >/var/www/html/index.html",
    reload: {
      change: "echo Redirect 410 /gone >/etc/apache2/conf-enabled/recipe.conf",
      applied: "! curl -sI http://127.0.0.1/gone | grep -q ' 410 ' || echo reloaded",
      session: download(80, "/big"),
    },
    leaves: ["/var/log/apache2/", "/var/www/html/"],
  },
  {
    name: "php-fpm",
    program: "php-fpm8.2",
    ownPidFile: "/run/sipid/php-fpm-own.pid",
    leaves: ["/var/log/php8.2-fpm.log"],
  },
  {
    name: "workers",
    program: "service",
    leaves: [],
  },
  {
    name: "report",
    program: "job",
    ways: ["plain scripts"],
    extra: {
      "cron runs it": `
        /opt/report/ctl stop
        cron -f & cron=$!
        sipid wait-until-healthy --timeout 90s --pid-file /run/sipid/report.pid -- true
        kill $cron`,
    },
    leaves: ["/run/crond.pid", "/run/crond.reboot"],
  },
  {
    name: "postgresql",
    program: "postgres",
    prepare: "[ -d /var/lib/postgresql/15/main ] || pg_createcluster 15 main",
    data: {
      write: `runuser -u postgres -- psql -c "create table recipe as select 'kept'"`,
      read: `runuser -u postgres -- psql -At -c "select * from recipe"`,
    },
    reload: {
      change: `echo "work_mem = '5MB'" >/etc/postgresql/15/main/conf.d/recipe.conf`,
      applied:
        `[ "$(runuser -u postgres -- psql -At -c 'show work_mem')" != 5MB ] || echo reloaded`,
      session: {
        command: ["runuser", "-u", "postgres", "--", "psql", "-At"],
        before: ["select 'connected';\n", /^connected$/m],
        after: ["select 'still ' || 'connected';\n", /^still connected$/m],
      },
    },
    leaves: ["/var/lib/postgresql/", "/var/log/postgresql/"],
  },
  {
    name: "mariadb",
    program: "mariadbd",
    readyFirst: ["Supervisor"],
    data: {
      write: `mariadb -e "create database recipe; create table recipe.t select 'kept'"`,
      read: `mariadb -N -B -e "select * from recipe.t"`,
    },
    reload: {
      change: "true",
      applied: "echo reloaded",
      session: {
        command: ["mariadb", "-N", "-B", "--unbuffered"],
        before: ["select 'connected';\n", /^connected$/m],
        after: ["select concat('still ', 'connected');\n", /^still connected$/m],
      },
    },
    leaves: ["/var/lib/mysql/", "/var/log/mysql/"],
  },
  {
    name: "rabbitmq",
    program: "beam.smp",
    argument: "boot", // rabbitmqctl and what starts epmd are Erlang programs, too
    readyFirst: ["Supervisor"],
    data: {
      write: `
        amqp-declare-queue --server 127.0.0.1 --durable --queue recipe
        amqp-publish --server 127.0.0.1 --persistent --routing-key recipe --body kept`,
      read: "amqp-get --server 127.0.0.1 --queue recipe",
    },
    extra: {
      "rabbitmqctl waits for the claimed pidfile": "rabbitmqctl wait /run/sipid/rabbitmq.pid",
      "epmd -kill refuses while a node is running": `
        ! epmd -kill
        epmd -names | grep rabbit`,
    },
    cleanup: "epmd -kill",
    leaves: ["/var/lib/rabbitmq/", "/var/log/rabbitmq/"],
  },
  {
    name: "jvm",
    program: "java",
    prepare: `
      mkdir /tmp/app && cd /tmp/app
      cat >App.java <<'JAVA'
      import com.sun.net.httpserver.HttpServer;
      import java.net.InetSocketAddress;
      public class App {
        public static void main(String[] args) throws Exception {
          HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 8082), 0);
          server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
          });
          server.start();
        }
      }
JAVA
      ecj -17 -proc:none App.java
      mkdir META-INF && echo 'Main-Class: App' >META-INF/MANIFEST.MF
      python3 -m zipfile -c /opt/jvm/app.jar META-INF App.class
      rm -r /tmp/app`,
    extra: {
      "QUIT prints the stacks": `
        /opt/jvm/ctl stacks
        sipid wait-until-healthy --timeout 10s --polling-frequency 50ms -- \
          grep -q 'Full thread dump' /var/log/jvm.log`,
    },
    // A JVM that is stopped before it handles signals leaves one, which the next one removes.
    leaves: ["/tmp/hsperfdata_www-data/"],
  },
];
